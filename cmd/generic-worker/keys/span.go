package keys

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/exit"
)

// span is a length of time on a command line: 30d, or as Go writes it, 720h.
type span time.Duration

const day = span(24 * time.Hour)

// String is the span in days, if it is one of whole days.
func (s *span) String() string {
	if *s%day == 0 {
		return strconv.FormatInt(int64(*s/day), 10) + "d"
	}
	return time.Duration(*s).String()
}

// Set reads a span. Its errors complete "invalid argument".
func (s *span) Set(text string) error {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a number of days such as 30d", text)
		}
		*s = span(n) * day
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a length of time such as 30d or 720h", text)
	}
	*s = span(d)
	return nil
}

// Type is what help calls a span.
func (s *span) Type() string { return "days" }

// moment reads a date, with or without a time of day; without a text it is now.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, exit.Errorf(exit.Usage, "%s %q is not a date; write for example 2031-01-31 or 2031-01-31T12:00:00Z", flag, text)
}
