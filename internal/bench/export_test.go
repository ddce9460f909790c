package bench

// Kill ends the fleet's process as nobody should.
func (f *Fleet) Kill() error { return f.child.cmd.Process.Kill() }
