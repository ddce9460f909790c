// Package reach waits until hosts let us log in, or have rebooted, and logs in without running
// anything. Tries go through the engine, with its limits for each server.
package reach
