# shellcheck shell=sh disable=SC2034,SC2154  # what one part sets, another reads
#
# Phases upgrade, switch and roll_back: one rename makes another release current.

refuse_if_current() { # what is current is never switched to, nor touched
    [ "$installed" = "$LL_TO" ] || return 0
    verify "$LL_TO" || refuse 'installed but not healthy' "$problem"
    forget_marker # whoever sees it healthy over a new connection is not cut off
    finish already_current
}

forward() {
    back_up || return 1
    note_irreversible || return 1
    [ -z "$LL_BEFORE" ] || run before_switch "$LL_BASE/releases/$LL_TO" "$LL_BEFORE" || return 1
    # The release was flushed when it was staged; what the product's commands have done since was not.
    [ -z "$LL_BACKUP$LL_IRREVERSIBLE$LL_BEFORE" ] || flush_filesystem "$LL_BASE"
    reached before_switch
    touched=1
    method_activate "$LL_TO" || return 1
    reached switched
    restart || return 1
    reached restarted
    [ -z "$LL_AFTER" ] || run after_switch "$LL_BASE/current" "$LL_AFTER" || return 1
    verify "$LL_TO" || return 1
    reached verified
    await_confirmation
}

back() {
    [ -n "$previous" ] || { go_back_to_nothing; return 1; }
    if [ -n "$touched" ]; then method_roll_back "$previous" || return 1; fi
    reached rolled_back
    restore "$previous" || return 1
    # Where nothing was switched, a product that is well needs no restart.
    if [ -n "$touched$saved" ] || ! ask 10 "$previous"; then restart || :; fi
    reached restarted_back
    verify "$previous"
}

go_back_to_nothing() { # a first release that does not answer is not left current
    [ -z "$touched" ] || method_roll_back '' || return 0
    problem='nothing to go back to'
}

switch() {
    previous=$installed from=$installed
    refuse_without_restore
    journal_begin "$installed" "$LL_TO${LL_IRREVERSIBLE:+ irreversible}"
    forget_marker
    if forward; then
        journal switched
        reached journal_end
        method_prune
        clear_incoming
        finish switched
    fi
    cause=$problem detail=$(last_lines)
    reached before_rollback
    note "going back to ${previous:-nothing}"
    start_phase_time
    to=$previous from=$LL_TO
    if back; then
        journal rolled_back
        reached journal_end
        finish rolled_back "$cause" "$detail"
    fi
    journal failed
    here=$(if method_installed; then echo "current is ${installed:-nothing}"; else echo "$problem"; fi)
    finish failed "$cause" "the way back: $problem; $here | $detail"
}

roll_back() {
    method_has "$LL_TO" || refuse 'the release is not on the host' "$LL_TO"
    from=$installed undone='' lost=''
    journal_begin "$installed" "$LL_TO"
    forget_marker
    if find_backup "$LL_TO" || [ "$installed" != "$LL_TO" ] || ! ask 10 "$LL_TO"; then
        reached before_rollback
        method_roll_back "$LL_TO" || undone=$problem
        reached rolled_back
        [ -n "$undone" ] || restore "$LL_TO" || lost=$problem
        [ -n "$undone$lost" ] || restart || undone=$problem
        reached restarted_back
    fi
    if [ -z "$lost" ] && verify "$LL_TO"; then
        journal switched
        reached journal_end
        finish switched
    fi
    journal failed
    finish failed "${lost:-${undone:-$problem}}" "$(last_lines)"
}
