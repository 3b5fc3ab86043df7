package payload

import (
	"fmt"
	"strconv"
	"time"

	"github.com/taskcluster/generic-worker/internal/document"
)

// CheckExpiry returns Problems if an artifact is to expire before the deadline
// of its task or after the task itself, by more than a second, else nil. A zero
// time is no bound.
func (p Payload) CheckExpiry(deadline, expires time.Time) error {
	const tolerance = time.Second
	var problems Problems
	for i, artifact := range p.Artifacts {
		what, bound := "", expires
		switch at := artifact.Expires; {
		case at.IsZero():
		case !deadline.IsZero() && at.Before(deadline.Add(-tolerance)):
			what, bound = "is before the deadline of the task", deadline
		case !expires.IsZero() && at.After(expires.Add(tolerance)):
			what = "is after the task itself expires"
		}
		if what == "" {
			continue
		}
		key := strconv.Itoa(i)
		if p.Image != nil {
			key = artifact.Name
		}
		problems = append(problems, document.Problem{
			Pointer: document.Pointer("artifacts", key, "expires"),
			What:    fmt.Sprintf("is %s, which %s", stamp(artifact.Expires), what),
			Remedy:  fmt.Sprintf("the bound is %s; without expires the artifact expires with the task", stamp(bound)),
		})
	}
	if problems == nil {
		return nil
	}
	return problems
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
