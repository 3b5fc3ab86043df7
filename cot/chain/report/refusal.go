package report

import (
	"errors"
	"fmt"
)

// refusal is an error that speaks against the task. Any other error means that
// something could not be found out: to be the verifier's fault is the default.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

// Refuse makes an error that speaks against the task, with a reason for a release engineer.
func Refuse(format string, args ...any) error {
	return &refusal{fmt.Sprintf(format, args...)}
}

// VerdictOf returns OK for nil, Failed for an error that Refuse has made, and
// Undecided for any other.
func VerdictOf(err error) Verdict {
	if err == nil {
		return OK
	}
	if _, refused := errors.AsType[*refusal](err); refused {
		return Failed
	}
	return Undecided
}

// Answer makes a rule's answer from the error of its check. A strict rule whose
// answer is known is skipped in compat; one that could not be answered may be so
// because of a fault, and counts.
func Answer(id string, strict, compat bool, err error) Rule {
	a := Rule{ID: id, Verdict: VerdictOf(err), Strict: strict}
	if err != nil {
		a.Reason = err.Error()
	}
	if strict && compat && a.Verdict != Undecided {
		a.Verdict, a.Would = Skipped, a.Verdict
	}
	return a
}
