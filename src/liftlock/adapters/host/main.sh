# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads

is_hex "$LL_NONCE" || exit 2
[ "${2-}" != auto ] || LL_PHASE=auto
echo
check_settings
start_phase_time
case $LL_PHASE in
probe) probe ;;
confirm) confirm ;;
upgrade) prepare && refuse_if_current && stage && refuse_if_late && switch ;;
stage) prepare && stage && finish staged ;;
switch) prepare && refuse_if_current && refuse_unless_staged && switch ;;
roll_back) prepare && roll_back ;;
prune) prepare && prune ;;
unlock) unlock ;;
auto) auto ;;
*) refuse 'bad setting' LL_PHASE ;;
esac
