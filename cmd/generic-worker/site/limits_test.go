package site

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/process/usage"
)

// TestTellLimits is what an operator hears of limits, on machines of every kind.
func TestTellLimits(t *testing.T) {
	t.Parallel()
	groups := usage.Enforcement{Memory: "groups", Processes: "groups", CPUs: "groups"}
	watched := usage.Enforcement{Memory: usage.Watched, Processes: usage.Watched}
	for _, test := range []struct {
		limits usage.Limits
		how    usage.Enforcement
		err    error
		want   string
	}{
		{usage.Limits{Memory: 1 << 30}, groups, nil, `memory="1.00 GiB" memoryBy=groups` + "\n"},
		{usage.Limits{Processes: 9}, watched, nil, `processes=9 processesBy="watching it ten times a second"` + "\n"},
		{usage.Limits{CPUs: 1.5}, groups, nil, `cpus=1.5 cpusBy=groups` + "\n"},
		{usage.Limits{CPUs: 1.5, Memory: 1}, watched, errNoCPUs, ""},
	} {
		var out strings.Builder
		err := tellLimits(test.limits, test.how, slog.New(slog.NewTextHandler(&out, nil)))
		if !errors.Is(err, test.err) || !strings.HasSuffix(out.String(), test.want) {
			t.Errorf("%+v: got %v and %q", test.limits, err, &out)
		}
	}
	if err := checkLimits(usage.Limits{}, nil); err != nil {
		t.Error(err)
	}
}
