from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from liftlock.errors import InputError
from liftlock.model import ApprovalRule, Policy, ReleaseKind, RollbackScope
from liftlock.settings import (
    ChannelKind,
    ChannelSettings,
    MailSecurity,
    Settings,
    SmtpSettings,
    SshSettings,
    Vendor,
    read_settings,
)

WORKSPACE = Path("/srv/work")


def settings(text: str) -> Settings:
    return read_settings(text, "liftlock.yaml", WORKSPACE)


def problem(text: str) -> str:
    with pytest.raises(InputError) as caught:
        settings(text)
    (only,) = caught.value.problems
    return str(only)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_nothing_said_gives_the_defaults(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    assert settings(text) == Settings(
        ledger="sqlite:////srv/work/.liftlock/ledger.db",
        ssh=SshSettings(key=Path("/home/op/.ssh/id_ed25519"), known_hosts=WORKSPACE / ".liftlock/known_hosts"),
    )


def test_everything_said_is_kept() -> None:
    text = """\
ledger: postgresql+psycopg://liftlock@db.example/record
ssh: {user: deploy, key: keys/id, known_hosts: /etc/liftlock/known_hosts, connect_timeout: 5s, phase_timeout: 1h}
vendor: {name: Boathouse Software, email: desk@boathouse.example, phone: "+49 30 1"}
smtp: {host: mail.example, sender: "Boathouse <desk@boathouse.example>", port: 465, security: tls, username: desk}
policy:
  target_percent: 95
  waves: [1, "10%", 100%]
  bake: 2h
  rollback: wave
  max_failures: 0
  notice_lead: {security: 4h}
  notice_lead_by_tier: {key: {upgrade: 14d}, low: {}}
"""
    assert settings(text) == Settings(
        ledger="postgresql+psycopg://liftlock@db.example/record",
        ssh=SshSettings(
            key=WORKSPACE / "keys/id",
            known_hosts=Path("/etc/liftlock/known_hosts"),
            user="deploy",
            connect_timeout=timedelta(seconds=5),
            phase_timeout=timedelta(hours=1),
        ),
        vendor=Vendor("Boathouse Software", "desk@boathouse.example", "+49 30 1"),
        smtp=SmtpSettings(
            "mail.example", "Boathouse <desk@boathouse.example>", 465, MailSecurity.TLS, "desk", timedelta(seconds=30)
        ),
        policy=Policy(
            target_percent=95,
            waves=("1", "10%", "100%"),
            bake=timedelta(hours=2),
            rollback=RollbackScope.WAVE,
            max_failures=0,
            notice_lead={**Policy().notice_lead, ReleaseKind.SECURITY: timedelta(hours=4)},
            notice_lead_by_tier={"key": {ReleaseKind.UPGRADE: timedelta(days=14)}, "low": {}},
        ),
    )


@pytest.mark.parametrize("waves", ["evidence", "[evidence]"])
def test_waves_can_follow_the_evidence_at_a_risk(waves: str) -> None:
    policy = settings(f"policy: {{waves: {waves}, risk: 10%}}").policy
    assert (policy.waves, policy.by_evidence, policy.risk_percent) == (("evidence",), True, 10)
    assert settings(f"policy: {{waves: {waves}}}").policy.risk_percent == 5


def test_approvals_are_asked_by_kind_and_number_of_hosts() -> None:
    rules = "[{kinds: [upgrade, security], over_hosts: 50, approvers: 2}, {}]"
    assert settings(f"policy: {{approvals: {rules}}}").policy.approvals == (
        ApprovalRule((ReleaseKind.UPGRADE, ReleaseKind.SECURITY), 50, 2),
        ApprovalRule((), 0, 1),
    )


def test_what_runs_at_once_is_bounded_by_site_and_customer_only_when_asked() -> None:
    assert (settings("").policy.site_at_once, settings("").policy.customer_at_once) == (None, None)
    bounded = settings("policy: {site_at_once: 4, customer_at_once: 2}").policy
    assert (bounded.site_at_once, bounded.customer_at_once) == (4, 2)


def test_only_the_operators_own_home_has_a_short_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    ssh = settings("ssh: {key: ~/keys/id, known_hosts: ~nobody-at-all/known_hosts}").ssh
    assert (ssh.key, ssh.known_hosts) == (Path("/home/op/keys/id"), WORKSPACE / "~nobody-at-all/known_hosts")
    assert settings("ledger: sqlite:///~/record.db").ledger == "sqlite:////home/op/record.db"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("sqlite:///record.db", "sqlite:////srv/work/record.db"),
        ("sqlite:////var/lib/record.db", "sqlite:////var/lib/record.db"),
        ("sqlite:///record.db?timeout=5", "sqlite:////srv/work/record.db?timeout=5"),
    ],
)
def test_a_relative_sqlite_file_is_taken_from_the_workspace(said: str, meant: str) -> None:
    assert settings(f"ledger: {said}").ledger == meant


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("polcy: {}", "1:1: polcy: unknown field; did you mean `policy`?"),
        ("ledger: mysql://x", "1:9: ledger: must be sqlite:///<file> or postgresql://"),
        ('ledger: "sqlite:///:memory:"', "ledger: must be sqlite:///<file>"),
        ("ledger: sqlite://", "ledger: must be sqlite:///<file>"),
        ("ssh: {connect_timeout: 0s}", "must be longer than zero"),
        ("ssh: {passphrase: x}", "unknown field"),
        (f"vendor: {{name: {'H' * 2_000_000}}}", "1:16: vendor.name: has 2000000 characters, 200 at most: shorten it"),
        (f"vendor: {{phone: {'1' * 201}}}", "1:17: vendor.phone: has 201 characters, 200 at most: shorten it"),
        ("smtp: {host: mail.example}", "1:7: smtp.sender: is missing"),
        ("smtp: {host: mail.example, sender: desk}", "must be an e-mail address"),
        ('smtp: {host: mail.example, sender: "A <a@b.example>\\nBcc: c@d.example"}', "must be one line"),
        ("smtp: {host: m, sender: a@b.example, password: x}", "smtp.password: unknown field"),
        ("smtp: {host: m, sender: a@b.example, security: none, username: u}", "must not travel in the open"),
        ("smtp: {host: m, sender: a@b.example, security: ssl}", "must be `none`, `starttls` or `tls`"),
        ("policy: {target_percent: 101}", "must be at most 100"),
        ("policy: {target_percent: '98'}", "expected a whole number, found the text `98`"),
        ("policy: {waves: []}", "policy.waves: the last wave must be `100%`"),
        ("policy: {waves: [1, '50%']}", "policy.waves: the last wave must be `100%`"),
        ("policy: {waves: [0, '100%']}", "policy.waves[0]: must be a number of hosts"),
        ("policy: {waves: ['0%', '100%']}", "policy.waves[0]: must be a number of hosts"),
        ("policy: {waves: ['101%', '100%']}", "policy.waves[0]: must be a number of hosts"),
        ("policy: {waves: [2.5, '100%']}", "policy.waves[0]: must be a number of hosts"),
        ("policy: {waves: [1, evidence, 100%]}", "policy.waves: `evidence` stands alone"),
        ("policy: {risk: 5}", "policy.risk: must be a percentage from `1%` to `99%`"),
        ("policy: {risk: 0%}", "policy.risk: must be a percentage"),
        ("policy: {notice_lead_by_tier: {key: {ptch: 1h}}}", "must be `patch`, `security` or `upgrade`, found"),
        ("policy: {notice_lead: {ptch: 1h}}", "must be `patch`, `security` or `upgrade`, found the text `ptch`"),
        ("policy: {concurrency: 0}", "must be at least 1"),
        ("policy: {site_at_once: 0}", "policy.site_at_once: must be at least 1"),
        ("policy: {customer_at_once: 0}", "policy.customer_at_once: must be at least 1"),
        ("policy: {approvals: [{approvers: 0}]}", "policy.approvals[0].approvers: must be at least 1"),
        ("policy: {max_failures: -1}", "must be at least 0"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, wanted: str) -> None:
    assert problem(text).startswith("liftlock.yaml:1:")
    assert wanted in problem(text)


def test_channels_and_mail_name_where_their_secrets_are() -> None:
    read = settings("""\
smtp: {host: mail.example, sender: desk@boathouse.example, username: desk, keyring: vault,
  ca_file: ca.pem, retry_for: 0s}
channels:
  ops: {kind: slack, url_env: OPS_URL}
  hx: {kind: dingtalk, url_env: HX_URL, secret_env: HX_SECRET, ca_file: /etc/ca.pem, timeout: 3s, retry_for: 1m}
""")
    assert read.smtp is not None
    assert (read.smtp.keyring, read.smtp.ca_file, read.smtp.retry_for) == ("vault", WORKSPACE / "ca.pem", timedelta(0))
    assert read.channels == {
        "ops": ChannelSettings(ChannelKind.SLACK, "OPS_URL"),
        "hx": ChannelSettings(
            ChannelKind.DINGTALK,
            "HX_URL",
            "HX_SECRET",
            Path("/etc/ca.pem"),
            timedelta(seconds=3),
            timedelta(minutes=1),
        ),
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("channels: {a: {kind: signed, url_env: U}}", "channels.a: `kind: signed` needs a `secret_env`"),
        ("channels: {a: {kind: slack, url_env: U, secret_env: S}}", "channels.a: `kind: slack` knows no secret"),
        ("channels: {a: {kind: slack}}", "channels.a.url_env: is missing"),
        ("smtp: {host: h, sender: a@b.c, security: none, ca_file: c}", "smtp: a `ca_file` needs `security: starttls`"),
    ],
)
def test_a_way_for_letters_that_cannot_be_safe_is_refused(text: str, why: str) -> None:
    assert why in problem(text)
