package config

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRotate(t *testing.T) {
	t.Parallel()
	path := write(t, "c.yml", "")
	replace := func(token string) {
		text := fmt.Sprintf("rootURL: https://tc.example.com\nclientId: c\naccessToken: %s\nworkerType: t\nworkerId: w\n", token)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		replace("one-hunter2")
		credentials := Rotate(path, nil, load(t, path).Credentials, slog.New(slog.NewTextHandler(&log, nil)))
		for _, step := range []struct {
			wait    time.Duration
			token   string // to write
			want    string // to be in use
			entries int    // in the log so far
		}{
			{0, "two-hunter2", "one-hunter2", 0},
			{rereadAfter, "two-hunter2", "two-hunter2", 1},
			{rereadAfter / 2, "three-hunter2", "two-hunter2", 1},
			{rereadAfter, "''", "two-hunter2", 2},
			{rereadAfter, "''", "two-hunter2", 2},
			{rereadAfter, "[hunter2", "two-hunter2", 3},
			{rereadAfter, "four-hunter2", "four-hunter2", 4},
			{rereadAfter, "four-hunter2", "four-hunter2", 4},
		} {
			replace(step.token)
			time.Sleep(step.wait)
			if got := string(credentials().AccessToken); got != step.want {
				t.Errorf("%+v: %s is in use", step, got)
			}
			if entries := strings.Count(log.String(), "\n"); entries != step.entries {
				t.Errorf("%+v: %d entries in the log:\n%s", step, entries, log.String())
			}
		}
		if strings.Contains(log.String(), "hunter2") {
			t.Errorf("a secret is in the log:\n%s", log.String())
		}
	})
}
