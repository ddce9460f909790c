package journal

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
)

// A Filter selects runs. The zero value selects all.
type Filter struct {
	// Since is the earliest start of a run; the zero time means no bound.
	Since time.Time
	// Command is a part of the command; "" means any.
	Command string
	// Hosts are names, or patterns of them with * and ?, of which one is among a run's
	// hosts; nil means any, and an empty list none.
	Hosts []string
	// User is a name that some host was logged in to with; "" means any.
	User string
	// Before is the identifier of a run: only runs that were begun before it; "" means any. An
	// identifier of no run selects none.
	Before string
	// Limit is the maximum number of runs, counted from the latest; 0 means all.
	Limit int
}

// Runs returns the runs in reverse order of their beginning, whatever their clocks said. A
// damaged run is yielded as an error that names it, and the remaining runs follow.
func (j *Journal) Runs(ctx context.Context, f Filter) iter.Seq2[RunInfo, error] {
	return func(yield func(RunInfo, error) bool) {
		since := int64(math.MinInt64)
		if !f.Since.IsZero() {
			since = f.Since.UnixNano()
		}
		var patterns []string // nil if Hosts is
		if f.Hosts != nil {
			patterns = make([]string, 0, len(f.Hosts))
		}
		for _, host := range f.Hosts {
			patterns = append(patterns, strings.ReplaceAll(host, "[", "[[]")) // GLOB has sets, and Hosts have not
		}
		hosts, err := json.Marshal(patterns)
		if err != nil {
			yield(RunInfo{}, fmt.Errorf("listing runs: %w", err))
			return
		}
		ids, err := queryColumn[string](ctx, j.read, `SELECT id FROM runs r WHERE started >= ?1
			AND (?2 = '' OR instr(command, ?2) > 0)
			AND (?3 = 'null' OR EXISTS (SELECT 1 FROM targets t, json_each(?3) h WHERE t.run = r.n AND t.host GLOB h.value))
			AND (?4 = '' OR EXISTS (SELECT 1 FROM targets t WHERE t.run = r.n AND t.user = ?4))
			AND (?5 = '' OR n < (SELECT n FROM runs WHERE id = ?5))
			ORDER BY n DESC LIMIT ?6`,
			since, f.Command, string(hosts), f.User, f.Before, cmp.Or(f.Limit, -1))
		if err != nil {
			yield(RunInfo{}, fmt.Errorf("listing runs: %w", err))
			return
		}
		for _, id := range ids {
			info, err := j.Run(ctx, id)
			if errors.Is(err, ErrNoRun) {
				continue // pruned in the meantime
			}
			if err != nil {
				info = &RunInfo{}
				info.Header.Run = id
			}
			if !yield(*info, err) {
				return
			}
		}
	}
}

// Taken returns the hosts that later reruns have taken from a run, or from the run that it
// is a rerun of, each with the last such rerun. What became of them there does not matter.
func (j *Journal) Taken(ctx context.Context, id string) (map[fleet.Host]string, error) {
	taken := make(map[fleet.Host]string)
	err := query(ctx, j.read, func(rows *sql.Rows) error {
		var by string
		var h fleet.Host
		err := rows.Scan(&by, &h.Name, &h.User, &h.Port)
		taken[h] = by
		return err
	}, `SELECT r.id, t.host, t.host_user, t.host_port FROM runs r JOIN runs o ON o.id = ?1 JOIN targets t ON t.run = r.n
		WHERE r.targets IS NOT NULL AND r.n > o.n AND (r.parent = o.id OR r.parent = o.parent AND r.parent != '') ORDER BY r.n`, id)
	if err != nil {
		return nil, fmt.Errorf("looking for reruns of the run %s: %w", id, err)
	}
	return taken, nil
}

// ErrNoRun means that no run matches; ErrAmbiguous that several do.
var (
	ErrNoRun     = errors.New("no such run")
	ErrAmbiguous = errors.New("several runs are meant")
)

// Resolve returns the identifier of the run that name refers to. A name is a whole
// identifier, a unique prefix, a unique last part, "last" for the run begun last, whatever
// its clock said, or "last~1" or "last-1" for the one before it, and so on.
func (j *Journal) Resolve(ctx context.Context, name string) (string, error) {
	if back, last := strings.CutPrefix(name, "last"); last {
		return j.resolveLast(ctx, name, back)
	}
	if name == "" || strings.Trim(name, idDigits+"-") != "" {
		return "", hint.Wrap(fmt.Errorf("%w: %.40q is not part of an identifier", ErrNoRun, name), "last means the newest run")
	}
	for _, pattern := range []string{name + "*", "*-" + name} {
		ids, err := queryColumn[string](ctx, j.read, `SELECT id FROM runs WHERE id GLOB ? ORDER BY id LIMIT 3`, pattern)
		switch {
		case err != nil:
			return "", fmt.Errorf("looking for run %q: %w", name, err)
		case len(ids) == 1:
			return ids[0], nil
		case len(ids) > 1:
			return "", fmt.Errorf("%w by %.40q, such as %s", ErrAmbiguous, name, strings.Join(ids, " and "))
		}
	}
	return "", fmt.Errorf("%w: %.40q", ErrNoRun, name)
}

// resolveLast resolves last followed by back, "" or ~ or - and a number.
func (j *Journal) resolveLast(ctx context.Context, name, back string) (string, error) {
	back = cmp.Or(back, "~0")
	before, err := strconv.ParseUint(back[1:], 10, 31)
	if err != nil || back[0] != '-' && back[0] != '~' {
		return "", hint.Wrap(fmt.Errorf("%w: %.40q", ErrNoRun, name), "last~1 is the run before the last")
	}
	ids, err := queryColumn[string](ctx, j.read, `SELECT id FROM runs ORDER BY n DESC LIMIT 1 OFFSET ?`, int64(before))
	switch {
	case err != nil:
		return "", fmt.Errorf("looking for the last run: %w", err)
	case len(ids) == 0:
		return "", fmt.Errorf("%w: the journal does not have that many", ErrNoRun)
	}
	return ids[0], nil
}
