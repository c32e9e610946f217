"""A fleet of real hosts on the loopback interface: what the demo and the tests upgrade."""
