//go:build !unix

package extcmd

import "os/exec"

// Without process groups only the program itself is ended.
func ownGroup(*exec.Cmd) {}
func endGroup(*exec.Cmd) {}
