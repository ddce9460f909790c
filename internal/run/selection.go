package run

import (
	"context"
	"slices"
	"strings"

	"shoal/internal/groups"
	"shoal/internal/journal"
)

// Differs is a word for [ParseSelection]: targets that answered something else than most.
const Differs = "differs"

// HasDiffers reports whether one of the words is Differs.
func HasDiffers(words string) bool { return slices.Contains(strings.Split(words, ","), Differs) }

// ParseSelection is [journal.ParseSelector] for a run, with the word Differs besides: it
// selects the targets that gave an answer, but are not in the largest of the groups that
// same makes of the answers. For that the outputs of the whole run are read.
func ParseSelection(ctx context.Context, j *journal.Journal, run, words string, same groups.Options) (journal.Selector, error) {
	var others []string
	for word := range strings.SplitSeq(words, ",") {
		if word != Differs {
			others = append(others, word)
		}
	}
	none := func(*journal.Entry) bool { return false }
	selector := journal.Selector(none)
	if !HasDiffers(words) || len(others) > 0 {
		var err error
		if selector, err = journal.ParseSelector(strings.Join(others, ",")); err != nil {
			return nil, err
		}
	}
	if !HasDiffers(words) {
		return selector, nil
	}
	differ, err := differing(ctx, j, run, same)
	if err != nil {
		return nil, err
	}
	return func(e *journal.Entry) bool { return differ[e.Target.Index] || selector(e) }, nil
}

// differing returns the indexes of the targets that Differs selects.
func differing(ctx context.Context, j *journal.Journal, run string, same groups.Options) (map[int]bool, error) {
	c := groups.New(same)
	defer func() { _ = c.Close() }()
	for e, err := range j.Show(ctx, run, func(e *journal.Entry) bool { return e.Progress == journal.Done }) {
		if err != nil {
			return nil, err
		}
		c.Add(&e.Result)
	}
	answers, _ := c.Groups().Answers()
	differ := make(map[int]bool)
	for _, g := range answers[min(1, len(answers)):] {
		for _, m := range g.Members {
			differ[m.Index] = true
		}
	}
	return differ, nil
}
