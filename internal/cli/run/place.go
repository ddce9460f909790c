package run

import (
	"fmt"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

// CheckPlace returns an error if a flag given now leads to another machine or
// account than those where the run left its marker, or on another way: a marker
// that is missing there proves nothing. was is the target as the run recorded it,
// now as it is planned. Without recorded settings nothing is refused.
func (r Recalled) CheckPlace(was, now fleet.Target) error {
	var given, differ []string
	for _, name := range []string{"user", "port", "jump", "option"} {
		if r.Now[name] {
			given = append(given, "--"+name)
		}
		if name != "option" && slices.Contains(r.instead, "--"+name) {
			differ = append(differ, "--"+name)
		}
	}
	had, asked := place(was), place(now)
	var err error
	switch {
	case r.Info.Settings == nil || len(given) == 0:
	case had != asked:
		err = fmt.Errorf("%s would ask %s; the run's marker is at %s",
			strings.Join(given, ", "), ui.Visible(asked), ui.Visible(had))
	case len(differ) > 0:
		err = fmt.Errorf("%s is not as the run had it; the run's marker is at %s", strings.Join(differ, ", "), ui.Visible(had))
	}
	return hint.Wrap(err, "leave it out: the journal has the run's own")
}

// place returns where t is and how it is reached.
func place(t fleet.Target) string {
	text := t.User + "@" + t.Address()
	switch {
	case t.Route == nil:
	case t.Route.Via != nil:
		text += " through " + place(*t.Route.Via)
	case len(t.Route.ProxyCommand) > 0:
		text += fmt.Sprintf(" through the command %q", t.Route.ProxyCommand)
	}
	return text
}
