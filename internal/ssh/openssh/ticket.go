package openssh

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Ticket reports whether this user has a Kerberos ticket that has not expired, as klist says. It
// asks once. Where there is no klist, a credential cache that is a file counts.
func (d *Dialer) Ticket(ctx context.Context) bool {
	d.krb.Lock()
	defer d.krb.Unlock()
	if !d.asked {
		if has, err := hasTicket(ctx); err == nil {
			d.ticket, d.asked = has, true
		}
	}
	return d.ticket
}

const klistTimeout = 5 * time.Second

// hasTicket returns an error only if ctx ends.
func hasTicket(ctx context.Context) (bool, error) {
	klist, err := exec.LookPath("klist")
	if err != nil {
		path := strings.TrimPrefix(os.Getenv("KRB5CCNAME"), "FILE:")
		if path == "" {
			path = "/tmp/krb5cc_" + strconv.Itoa(os.Getuid())
		}
		_, err := os.Stat(path)
		return err == nil, nil
	}
	limited, cancel := context.WithTimeout(ctx, klistTimeout)
	defer cancel()
	err = exec.CommandContext(limited, klist, "-s").Run()
	return err == nil, ctx.Err()
}
