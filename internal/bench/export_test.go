package bench

// Kill kills the fleet's process without warning.
func (f *Fleet) Kill() error { return f.child.cmd.Process.Kill() }
