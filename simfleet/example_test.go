package simfleet_test

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/simfleet"
)

func Example() {
	f, err := simfleet.Start(context.Background(), simfleet.Options{
		Hosts: 10_000,
		Seed:  "example",
		Fault: func(i int) simfleet.Fault {
			if i == 7 {
				return simfleet.FaultAuthRefused
			}
			return simfleet.FaultNone
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}

	const command = "echo hello world; exit 3"
	client, err := ssh.Dial("tcp", f.Host(9_999).String(), &ssh.ClientConfig{
		User:            "ada",
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(f.ClientKey())},
		HostKeyCallback: ssh.FixedHostKey(f.HostKey(9_999)),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	session, err := client.NewSession()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	out, err := session.Output(command)
	fmt.Printf("%s says %q: %v\n", f.Host(9_999).Name, out, err)
	_ = client.Close()
	_ = f.Close()

	claimed := fleet.Result{
		Target: fleet.Target{Host: f.Host(9_999), Command: command},
		End:    fleet.End{Outcome: fleet.OutcomeFailed, Status: 3, Flags: fleet.FlagExitKnown},
		Stdout: fleet.Output{Bytes: out, Size: int64(len(out))},
	}
	fmt.Println(simfleet.Check(f.Log(), slices.Values([]fleet.Result{claimed}), 1))
	// Output:
	// 127.1.39.16 says "hello world\n": Process exited with status 3
	// 1 targets, all as the servers saw them
}
