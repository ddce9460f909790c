package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// startFleet starts shoal's simulated fleet.
func startFleet(ctx context.Context, s Settings, root *group, dir string) (*target, error) {
	t := &target{
		name: "fleet", title: fmt.Sprintf("Simulated fleet, round trip %v", 2*s.Latency),
		sizes: s.FleetSizes, port: fleetPort,
		key:     filepath.Join(dir, "fleet_key"),
		command: "printf '" + want("") + "'; hostname",
	}
	known := filepath.Join(dir, "fleet_known_hosts")
	program, err := copyProgram(s.shoal, dir)
	if err != nil {
		return nil, err
	}
	t.server, err = startServer(ctx, root, t.name, filepath.Join(dir, t.name+".log"), t.port, []string{
		program, "fleet", "--hosts", strconv.Itoa(t.largest()), "--port", itoa(t.port),
		"--latency", s.Latency.String(), "--write-known-hosts", known, "--write-key", t.key,
	})
	if err != nil {
		return t, err
	}
	keys, err := readKeys(known)
	if err == nil && len(keys) != t.largest() {
		err = fmt.Errorf("%s has %d keys, want %d", known, len(keys), t.largest())
	}
	t.known = func(i int) string { return keys[i] }
	return t, err
}

// copyProgram copies the program for the fleet: processes of the same file
// share its pages, which would halve the client's proportional size of them.
func copyProgram(path, dir string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("copying shoal for the fleet: %w", err)
	}
	to := filepath.Join(dir, "shoal-fleet")
	if err := os.WriteFile(to, text, 0o700); err != nil { // a program
		return "", fmt.Errorf("copying shoal for the fleet: %w", err)
	}
	return to, nil
}

// readKeys returns the keys of a known_hosts file in order.
func readKeys(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the fleet's keys: %w", err)
	}
	var keys []string
	for line := range lines(text) {
		_, key, _ := strings.Cut(line, " ")
		keys = append(keys, key)
	}
	return keys, nil
}
