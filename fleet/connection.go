package fleet

import "time"

// A Connection says on which connection an attempt ran, where connections are held between
// commands.
type Connection struct {
	// Held means that it was there from an earlier command.
	Held bool
	// Age is the time since its login, when the attempt began; 0 for one that was dialled.
	Age time.Duration
	// Why is why it was dialled; "" for one that was held.
	Why DialReason
}

// A DialReason is why an attempt got no held connection, in one word for machines. The list only
// grows.
type DialReason string

// The reasons.
const (
	DialNew      DialReason = "new"              // none was held
	DialInUse    DialReason = "in_use"           // another target has it
	DialLost     DialReason = "lost"             // it had ended, or did when it was to be used
	DialRefused  DialReason = "session_refused"  // the server refused another session on it
	DialExpired  DialReason = "expired"          // it was older than the limit
	DialSettings DialReason = "settings_differ"  // it was made with other settings
	DialHostKey  DialReason = "hostkey_distrust" // its host key is not trusted any more
	DialLetGo    DialReason = "let_go"           // it was closed to make room for others
	DialUserKey  DialReason = "user_key_gone"    // the key that logged in is not among ours any more

	// Where another process holds connections (shoal run --persist), the run itself dialled:
	DialHolder   DialReason = "no_holder"       // there is no such process, or it does not answer
	DialPassword DialReason = "password"        // a password may be needed, or there is a secret variable: that process gets neither
	DialAgent    DialReason = "agent_forwarded" // the agent is forwarded; also where this process holds connections
	DialRoute    DialReason = "route"           // there is a proxy command
	DialClient   DialReason = "other_client"    // another client is needed: the system's ssh, or x/crypto
)
