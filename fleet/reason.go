package fleet

// A Reason is why an attempt did not end with an exit status of 0, in one word for
// machines. It is set where the cause is detected, never by matching a message. ""
// means no reason: the command ran to its end. The list only grows, and the texts
// are part of the record format.
type Reason string

// Reasons, in the order of the phases in which they usually occur.
const (
	ReasonNone Reason = ""

	// resolve
	ReasonNameNotFound   Reason = "name_not_found"  // the DNS has no such name
	ReasonResolveTimeout Reason = "resolve_timeout" // no answer from the DNS in time
	ReasonResolveFailed  Reason = "resolve_failed"  // any other failure of the name look-up

	// dial
	ReasonDialTimeout     Reason = "dial_timeout"     // the TCP connect was not answered in time
	ReasonConnRefused     Reason = "conn_refused"     // RST in answer to SYN
	ReasonHostUnreachable Reason = "host_unreachable" // ICMP host unreachable
	ReasonNetUnreachable  Reason = "net_unreachable"  // no route to the network
	ReasonDialFailed      Reason = "dial_failed"      // any other failure of the connect
	ReasonJumpFailed      Reason = "jump_failed"      // the jump host, or the proxy command, failed

	// any phase of an open connection
	ReasonConnReset     Reason = "conn_reset"     // RST from the peer
	ReasonConnClosed    Reason = "conn_closed"    // the peer closed the connection
	ReasonDisconnected  Reason = "disconnected"   // SSH_MSG_DISCONNECT from the peer (RFC 4253 §11.1)
	ReasonProtocolError Reason = "protocol_error" // not SSH, or a violation of the protocol
	ReasonProtocolAbuse Reason = "protocol_abuse" // within the protocol, but beyond one of our limits
	ReasonStalled       Reason = "stalled"        // the peer stopped reading
	ReasonVanished      Reason = "vanished"       // the peer does not answer keepalives, or the system gave the connection up
	ReasonHolderLost    Reason = "holder_lost"    // the process that holds the connection (shoal run --persist) has ended or hangs

	// banner
	ReasonBannerTimeout Reason = "banner_timeout" // no version line in time
	ReasonThrottled     Reason = "throttled"      // the server turns connections away (MaxStartups, PerSourcePenalties)

	// kex
	ReasonKexTimeout        Reason = "kex_timeout"         // the key exchange did not end in time
	ReasonNoCommonAlgorithm Reason = "no_common_algorithm" // client and server share no algorithm

	// hostkey
	ReasonHostkeyUnknown Reason = "hostkey_unknown" // known_hosts has no key for this name
	ReasonHostkeyChanged Reason = "hostkey_changed" // known_hosts has another key for this name
	ReasonHostkeyRevoked Reason = "hostkey_revoked" // known_hosts marks this key @revoked
	ReasonHostkeyWeak    Reason = "hostkey_weak"    // the key is too short to be safe
	ReasonHostkeyFailed  Reason = "hostkey_failed"  // the key could not be checked
	// ReasonHostkeyReplaced: a host that known_hosts does not vouch for has another key than on
	// the connection that was held to it before.
	ReasonHostkeyReplaced Reason = "hostkey_replaced"

	// auth
	ReasonAuthTimeout      Reason = "auth_timeout"      // the login did not end in time
	ReasonAuthFailed       Reason = "auth_failed"       // the server accepts none of our keys
	ReasonAuthIncomplete   Reason = "auth_incomplete"   // a key was accepted and the server wants more
	ReasonNoIdentity       Reason = "no_identity"       // we have no key to offer
	ReasonPasswordExpired  Reason = "password_expired"  // the password has to be changed
	ReasonAgentUnavailable Reason = "agent_unavailable" // the agent does not answer, or refuses

	// session, exec
	ReasonSessionTimeout Reason = "session_timeout" // the opening of the session was not answered in time
	ReasonSessionRefused Reason = "session_refused" // SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 §5.1)
	ReasonAgentWithheld  Reason = "agent_withheld"  // the agent is not forwarded to a host that was not known before
	ReasonSecretWithheld Reason = "secret_withheld" // secret variables are not sent to a host that was not known before
	ReasonPTYRefused     Reason = "pty_refused"     // SSH_MSG_CHANNEL_FAILURE for pty-req (RFC 4254 §6.2)
	ReasonExecRefused    Reason = "exec_refused"    // SSH_MSG_CHANNEL_FAILURE for exec (RFC 4254 §5.4)
	ReasonExecTimeout    Reason = "exec_timeout"    // exec was not answered in time
	ReasonWrapRefused    Reason = "wrap_refused"    // the far end lacks what the wrapper needs
	ReasonChdirFailed    Reason = "chdir_failed"    // --chdir: the directory cannot be entered
	ReasonAlreadyStarted Reason = "already_started" // --once: the command was already started

	// becoming another user: the command did not run, but for the last
	ReasonBecomeUnavailable    Reason = "become_unavailable"     // the host has no such program as sudo
	ReasonBecomeNoUser         Reason = "become_no_user"         // the host has no such user
	ReasonBecomePasswordNeeded Reason = "become_password_needed" // a password is needed, and none may be sent
	ReasonBecomePasswordWrong  Reason = "become_password_wrong"  // it was asked for again after the password
	ReasonBecomeNotAllowed     Reason = "become_not_allowed"     // the account may not become that user
	ReasonBecomeNeedsTTY       Reason = "become_needs_tty"       // it works on a terminal only
	ReasonBecomePrompt         Reason = "become_prompt"          // something else than the password was asked for
	ReasonBecomeTimeout        Reason = "become_timeout"         // --become-timeout passed
	ReasonBecomeUnproven       Reason = "become_unproven"        // it may have run: sudo or the command failed (--become-direct), or the outputs disagree

	// run, drain
	ReasonTimeout     Reason = "timeout"      // the command timeout passed
	ReasonExitMissing Reason = "exit_missing" // the channel closed without exit status or signal
	ReasonNoReceipt   Reason = "no_receipt"   // a detached command, script or copy: the far end did not confirm it

	ReasonNotRebooted Reason = "not_rebooted" // shoal wait: the host answers from its old boot
	ReasonBootUnknown Reason = "boot_unknown" // shoal wait: the host tells no boot identifier

	ReasonRemoteTimeout Reason = "remote_timeout" // --remote-timeout ended the command
	ReasonKilled        Reason = "killed"         // --kill-on-cancel ended the command

	// copying files: the host says why it did not write or read one
	ReasonNoSpace          Reason = "no_space"           // no space is left on the file system
	ReasonPermissionDenied Reason = "permission_denied"  // the account may not do it
	ReasonReadOnly         Reason = "read_only"          // the file system is read-only
	ReasonIsDirectory      Reason = "is_directory"       // a directory is in a file's place
	ReasonNotDirectory     Reason = "not_directory"      // something else is in a directory's place
	ReasonNoParent         Reason = "no_parent"          // the directory does not exist
	ReasonNotRegular       Reason = "not_regular"        // a device, pipe, socket or circle of links
	ReasonBusy             Reason = "busy"               // the file is a mount point
	ReasonNoAtomicReplace  Reason = "no_atomic_replace"  // renaming to the file failed
	ReasonDigestMismatch   Reason = "digest_mismatch"    // what arrived is not what was sent
	ReasonWriteFailed      Reason = "write_failed"       // any other failure of writing
	ReasonNoFile           Reason = "no_file"            // the file does not exist
	ReasonTooLarge         Reason = "too_large"          // the file is beyond the limit
	ReasonReadFailed       Reason = "read_failed"        // any other failure of reading
	ReasonChangedWhileRead Reason = "changed_while_read" // what came is not what the file was
	ReasonOwnerFailed      Reason = "owner_failed"       // the owner could not be set
	ReasonTooManyFiles     Reason = "too_many_files"     // there are more of them than the limit
	ReasonNameCollision    Reason = "name_collision"     // two of its names would be one file here
	ReasonBadName          Reason = "bad_name"           // no file here can have the name
	ReasonBadAnswer        Reason = "bad_answer"         // what it answered is not what was asked for
	ReasonUnverified       Reason = "unverified"         // --require-verified: no tool for SHA-256
	ReasonNoTool           Reason = "no_tool"            // a program that copying needs is missing

	// this machine: never the host's fault
	ReasonLocalFiles  Reason = "local_files"  // no file descriptor left (EMFILE, ENFILE)
	ReasonLocalPorts  Reason = "local_ports"  // no local port left (EADDRNOTAVAIL)
	ReasonLocalMemory Reason = "local_memory" // the kernel has no buffers left (ENOBUFS, ENOMEM)
	ReasonStoreFailed Reason = "store_failed" // the result could not be stored completely
	ReasonInterrupted Reason = "interrupted"  // the run was stopped
	ReasonBadTarget   Reason = "bad_target"   // the target's configuration cannot be used
	ReasonInternal    Reason = "internal"     // a bug in shoal

	// workers of a cluster
	ReasonNoWorker      Reason = "no_worker"      // no worker of its pool took it in time
	ReasonWorkerRefused Reason = "worker_refused" // its workers do not run what this signer signs
	ReasonWorkerLost    Reason = "worker_lost"    // its worker is gone and has not told the end
	ReasonLogUnwritten  Reason = "log_unwritten"  // NATS did not store what its workers are asked
	ReasonLogDamaged    Reason = "log_damaged"    // the log that workers write is not what it must be

	// the run itself
	ReasonBrake        Reason = "brake"         // too many failures, or a failed check between stages
	ReasonOutputClosed Reason = "output_closed" // nobody reads our output any more, as with head(1)
	ReasonLetGo        Reason = "let_go"        // --follow: the person who followed the output has seen enough
)

// Transient reports whether a connection that ended for this reason before its
// command was sent may succeed at another attempt.
func (r Reason) Transient() bool {
	switch r {
	case ReasonResolveTimeout, ReasonResolveFailed, ReasonDialTimeout, ReasonJumpFailed, ReasonConnReset, ReasonConnClosed,
		ReasonThrottled, ReasonBannerTimeout, ReasonKexTimeout, ReasonVanished, ReasonHolderLost:
		return true
	}
	return false
}
