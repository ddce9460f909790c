package admission

// squeezed is the part of what is in flight that is left when this machine has
// not enough for one more.
const squeezed = 0.75

// Width is how many targets may be in flight now.
func (d *Desk) Width() int { return int(d.width) }

// SetWidth sets how many targets may be in flight from now on, and how many of
// them slow connects. 0 lets nothing start; what is in flight stays.
func (d *Desk) SetWidth(n, slow int) {
	d.limits.Width, d.limits.Slow = n, slow
	d.width = float64(n)
}

// Squeeze tells that this machine had not what a connect takes. The width
// shrinks, and grows again with what succeeds.
func (d *Desk) Squeeze() {
	least := min(d.width, 1) // 0 was asked for
	d.width = max(least, min(d.width, float64(d.flying)*squeezed))
}

// SqueezeConnects tells that this machine had not what a connect takes and only
// connects hold. The width shrinks to fewer of these beside all others in flight.
// It is called after Over.
func (d *Desk) SqueezeConnects() {
	if d.width < 1 {
		return
	}
	connects := d.Connecting() + 1
	d.width = min(d.width, float64(d.flying-connects)+max(1, float64(connects)*squeezed))
}

// widen lets the width grow by one with each of its own lengths, up to what was
// asked for.
func (d *Desk) widen() {
	if most := float64(d.limits.Width); d.width < most && d.width >= 1 {
		d.width = min(most, d.width+1/d.width)
	}
}
