package output

import (
	"slices"
	"testing"

	"shoal/fleet"
)

func TestConflictIsTold(t *testing.T) {
	r := fleet.Result{End: fleet.Exited(fleet.PhaseDrain, 3, "", true)}
	if told := toldLoss(&r); told != nil {
		t.Errorf("of an exit without a conflict it is told %q", told)
	}
	r.Flags |= fleet.FlagExitConflict
	if told := toldLoss(&r); !slices.Equal(told, []string{"the server contradicted how the command ended, as it had said first"}) {
		t.Errorf("of a conflict it is told %q", told)
	}
}
