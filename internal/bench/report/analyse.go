package report

import (
	"fmt"
	"slices"
	"time"
)

// Sizes that are always projected: the task's and a hundred times that.
const (
	Target  = 10_000
	Million = 1_000_000
)

// Analyse computes the report. It projects to Target, Million and the sizes in
// to. The error is ErrNothing if no run was completed.
func (m *Measurements) Analyse(to ...int) (*Report, error) {
	if !slices.ContainsFunc(m.runs, func(r run) bool { return r.Complete }) {
		return nil, ErrNothing
	}
	r := &Report{Files: m.files, Notes: slices.Clone(m.notes), Projected: append([]int{Target, Million}, to...)}
	slices.Sort(r.Projected)
	r.Projected = slices.Compact(r.Projected)
	for _, run := range m.runs {
		r.Sizes = append(r.Sizes, run.Size)
	}
	slices.Sort(r.Sizes)
	r.Sizes = slices.Compact(r.Sizes)
	for _, name := range m.strategies() {
		r.Strategies = append(r.Strategies, m.strategy(name))
	}
	r.Host = m.hostModel(r)
	for i := range r.Strategies {
		m.relate(r, &r.Strategies[i])
	}
	r.note()
	return r, nil
}

// strategies returns the names in the order of the settings, then of the
// records.
func (m *Measurements) strategies() []string {
	var names []string
	add := func(name string) {
		if _, measured := m.largest[name]; measured && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, f := range m.files {
		for _, name := range f.Header.Settings.Strategies {
			add(name)
		}
	}
	for _, run := range m.runs {
		add(run.Strategy)
	}
	return names
}

// of returns the runs of a strategy, sorted by size.
func (m *Measurements) of(name string) []run {
	var runs []run
	for _, r := range m.runs {
		if r.Strategy == name {
			runs = append(runs, r)
		}
	}
	slices.SortStableFunc(runs, func(a, b run) int { return a.Size - b.Size })
	return runs
}

// right reports whether a run completed with every output correct.
func (r run) right() bool { return r.Complete && r.Correct == r.Size }

func (r run) cpu() time.Duration { return r.CPUUser + r.CPUSystem }

func (m *Measurements) strategy(name string) Strategy {
	runs := m.of(name)
	s := Strategy{Name: name, Trend: trendOf(runs, 0)}
	for len(runs) > 0 {
		n := slices.IndexFunc(runs, func(r run) bool { return r.Size != runs[0].Size })
		if n < 0 {
			n = len(runs)
			s.Phases = phases(runs)
		}
		s.Sizes = append(s.Sizes, sizeOf(runs[:n]))
		s.sample(runs[:n])
		runs = runs[n:]
	}
	return s
}

// trendOf fits the right runs with fewer than below hosts; 0 means all.
func trendOf(runs []run, below int) *Trend {
	var hosts []int
	var walls []float64
	for _, r := range runs {
		if r.right() && (below == 0 || r.Size < below) {
			hosts, walls = append(hosts, r.Size), append(walls, r.Wall.Seconds())
		}
	}
	if t, ok := Fit(hosts, walls); ok {
		return &t
	}
	return nil
}

func sizeOf(runs []run) Size {
	s := Size{
		Hosts: runs[0].Size, Runs: len(runs), Right: true, Correct: runs[0].Correct,
		Outcomes: make(map[string]int), Reasons: make(map[string]int),
	}
	var walls, cpus []time.Duration
	var cores []float64
	for _, r := range runs {
		s.Right = s.Right && r.right()
		s.Correct = min(s.Correct, r.Correct)
		s.PeakRSS = max(s.PeakRSS, r.PeakRSS)
		s.Cumulative = s.Cumulative || r.PeakCumulative
		for _, sample := range r.Samples {
			s.Files = max(s.Files, sample.Files)
		}
		addCounts(s.Outcomes, r.Outcomes)
		addCounts(s.Reasons, r.Reasons)
		if !r.Complete {
			s.Cut++
			continue
		}
		walls = append(walls, r.Wall)
		cpus = append(cpus, r.cpu()/time.Duration(r.Size))
		cores = append(cores, r.cpu().Seconds()/r.Wall.Seconds())
	}
	s.Wall = spreadOf(walls)
	s.CPUPerHost = spreadOf(cpus).Median
	if len(cores) > 0 {
		slices.Sort(cores)
		s.CoresUsed = (cores[(len(cores)-1)/2] + cores[len(cores)/2]) / 2
	}
	return s
}

func addCounts(to, from map[string]int) {
	for word, n := range from {
		to[word] += n
	}
}

// sample keeps the samples of the median run if there are enough for a curve.
func (s *Strategy) sample(runs []run) {
	sampled := slices.DeleteFunc(slices.Clone(runs), func(r run) bool { return !r.Complete || len(r.Samples) < 3 })
	if len(sampled) == 0 {
		return
	}
	slices.SortFunc(sampled, func(a, b run) int { return int(a.Wall - b.Wall) })
	r := sampled[(len(sampled)-1)/2]
	s.Samples, s.SamplesOf = r.Samples, Sampled{Hosts: r.Size, Wall: r.Wall}
}

// hostModel estimates what one host costs: from the slope of serial, where
// hosts do not disturb each other, or else from the median host at the smallest
// size.
func (m *Measurements) hostModel(r *Report) HostModel {
	rtt := roundTrip(r.Header().Settings.Fleet)
	if s, ok := r.Strategy(Serial); ok && s.Trend != nil {
		return newHostModel(seconds(s.Trend.B), rtt, s.Sizes[len(s.Sizes)-1].CPUPerHost, true)
	}
	var alone, cpu time.Duration
	smallest := 0
	for _, run := range m.runs {
		switch {
		case !run.right() || run.alone == 0 || smallest > 0 && run.Size > smallest:
		case smallest == 0 || run.Size < smallest || run.alone < alone:
			smallest, alone, cpu = run.Size, run.alone, run.cpu()/time.Duration(run.Size)
		}
	}
	return newHostModel(alone, rtt, cpu, false)
}

// relate computes what depends on other strategies: speed-up, bounds and
// projections.
func (m *Measurements) relate(r *Report, s *Strategy) {
	settings, cores := r.Header().Settings, r.Header().Machine.Cores
	serial, _ := r.Strategy(Serial)
	for i := range s.Sizes {
		z := &s.Sizes[i]
		z.Bounds = bounds(s.Name, z.Hosts, settings.Workers, cores, r.Host.Time(), z.CPUPerHost)
		if one, ok := serial.At(z.Hosts); ok && one.Measured() && z.Measured() {
			z.SpeedUp = one.Wall.Median.Seconds() / z.Wall.Median.Seconds()
		}
	}
	runs, serialRuns := m.of(s.Name), m.of(Serial)
	cpu := s.Sizes[len(s.Sizes)-1].CPUPerHost
	for _, n := range r.Projected {
		p, ok := project(runs, n)
		if !ok {
			continue
		}
		p.Bounds = bounds(s.Name, n, settings.Workers, cores, r.Host.Time(), cpu)
		if z, ok := s.At(n); ok {
			p.Measured = z.Wall.Median
		}
		if one, ok := project(serialRuns, n); ok && p.Wall > 0 {
			p.SpeedUp = one.Wall.Seconds() / p.Wall.Seconds()
		}
		s.Projections = append(s.Projections, p)
	}
}

// project projects the trend of the sizes below n to n. It returns false without
// such a trend, or if its time at n is not positive.
func project(runs []run, n int) (Projection, bool) {
	t := trendOf(runs, n)
	if t == nil || t.At(float64(n)) <= 0 {
		return Projection{}, false
	}
	p := Projection{Hosts: n, Wall: seconds(t.At(float64(n))), From: t.From, To: t.To}
	if t.HasBand() {
		low, high := t.Band(float64(n))
		p.Low, p.High = seconds(max(low, 0)), seconds(high)
	}
	return p, true
}

// note adds warnings about figures that look better founded than they are.
func (r *Report) note() {
	for _, s := range r.Strategies {
		if slices.ContainsFunc(s.Sizes, func(z Size) bool { return z.Cumulative }) {
			r.Notes = append(r.Notes, "peak memory is that of the client's whole life up to then: this system does not tell it for each run")
			break
		}
	}
	for _, s := range r.Strategies {
		for _, z := range s.Sizes {
			switch {
			case z.Cut > 0:
				r.Notes = append(r.Notes, fmt.Sprintf("%s at %s hosts: the time limit cut %d of %d runs", s.Name, Count(z.Hosts), z.Cut, z.Runs))
			case !z.Right:
				r.Notes = append(r.Notes, fmt.Sprintf("%s at %s hosts: %s of %s outputs were right in the worst run; the trend leaves such runs out",
					s.Name, Count(z.Hosts), Count(z.Correct), Count(z.Hosts)))
			}
		}
	}
}
