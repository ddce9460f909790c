package flags

import (
	"shoal/internal/cluster"
)

// ClusterFlags say where NATS is.
type ClusterFlags struct {
	URL             string
	creds, nkey, ca string
}

// Register adds the flags to a group. what says what --cluster does.
func (f *ClusterFlags) Register(g FlagGroup, what string) {
	g.StringVar(&f.URL, "cluster", "", what+": NATS with JetStream at `URL`, nats://127.0.0.1:4222 or tls://HOST:PORT, several after commas")
	g.StringVar(&f.creds, "nats-creds", "", "the credentials for NATS, in `FILE`")
	g.StringVar(&f.nkey, "nats-nkey", "", "the seed of the NKey for NATS, in `FILE`")
	g.StringVar(&f.ca, "nats-ca", "", "the certificates that the one of NATS must come from, in `FILE` (default: the system's)")
}

// Connect connects to NATS as a coordinator, or as whoever looks. name is shown there; notice is told
// when the connection is lost.
func (f *ClusterFlags) Connect(name string, notice func(string)) (*cluster.Conn, error) {
	return f.ConnectWith(name, cluster.CoordinatorInbox, notice)
}

// ConnectWith is Connect with another inbox.
func (f *ClusterFlags) ConnectWith(name, inbox string, notice func(string)) (*cluster.Conn, error) {
	return cluster.Connect(cluster.ConnectOptions{URL: f.URL, Creds: f.creds, NKey: f.nkey, CA: f.ca, Name: name, Inbox: inbox, Notice: notice})
}
