package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
)

const (
	callsWarm     = 200
	callsMeasured = 2000
	callsParallel = 32
)

// added is how much longer requests take through a task's proxy than directly.
type added struct {
	Sequential float64 `json:"sequential"` // ms between the medians
	Parallel   float64 `json:"parallel"`   // ms per request, with many at once
}

// proxyAdds runs a task that is this program, since only a task may use its
// proxy.
func proxyAdds(figure func(added) float64) func(context.Context, candidate) (float64, error) {
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		self, err := os.Executable()
		if err != nil {
			return 0, err
		}
		path := filepath.Join(s.dir, "added.json")
		_, err = s.task(ctx, map[string]any{
			"command": [][]string{{self, callsMode, s.fake.URL, path}}, "maxRunTime": 600,
			"features": map[string]bool{"taskclusterProxy": true, "liveLog": false},
		})
		if err != nil {
			return 0, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		var a added
		if err := json.Unmarshal(text, &a); err != nil {
			return 0, fmt.Errorf("cannot read what the task measured: %w", err)
		}
		return figure(a), nil
	})
}

// callsMode is the first argument of this program as a task.
const callsMode = "calls"

// calls measures within a task.
func calls(ctx context.Context, rootURL, path string) error {
	proxyURL := os.Getenv("TASKCLUSTER_PROXY_URL")
	if proxyURL == "" {
		return errors.New("there is no TASKCLUSTER_PROXY_URL")
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callsParallel}}
	credentials := &tcclient.Credentials{ClientID: "bench", AccessToken: "bench-secret", AuthorizedScopes: []string{"bench"}}
	one := func(base string, sign bool) (time.Duration, error) {
		begun := time.Now()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/queue/v1/ping", nil)
		if err != nil {
			return 0, err
		}
		if sign {
			if err := credentials.SignRequest(request); err != nil {
				return 0, err
			}
		}
		answer, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return 0, err
		}
		if answer.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("%s is answered %s", base, answer.Status)
		}
		return time.Since(begun), nil
	}
	direct := func() (time.Duration, error) { return one(rootURL, true) }
	proxied := func() (time.Duration, error) { return one(proxyURL, false) }
	result, err := compareCalls(direct, proxied)
	if err != nil {
		return err
	}
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func compareCalls(direct, proxied func() (time.Duration, error)) (added, error) {
	// In turns, so that whatever else the machine does hits both.
	var one, other []float64
	for i := range callsWarm + callsMeasured {
		a, err := direct()
		if err != nil {
			return added{}, err
		}
		b, err := proxied()
		if err != nil {
			return added{}, err
		}
		if i >= callsWarm {
			one, other = append(one, milliseconds(a)), append(other, milliseconds(b))
		}
	}
	result := added{Sequential: median(other) - median(one)}
	one, other = nil, nil
	for range 5 {
		a, err := together(direct)
		if err != nil {
			return added{}, err
		}
		b, err := together(proxied)
		if err != nil {
			return added{}, err
		}
		one, other = append(one, a), append(other, b)
	}
	result.Parallel = median(other) - median(one)
	return result, nil
}

// together is the time per request when many are made at once.
func together(call func() (time.Duration, error)) (float64, error) {
	const each = callsMeasured / callsParallel
	failed := make([]error, callsParallel)
	var calling sync.WaitGroup
	begun := time.Now()
	for n := range callsParallel {
		calling.Go(func() {
			for range each {
				if _, err := call(); err != nil {
					failed[n] = fmt.Errorf("caller %d: %w", n, err)
					return
				}
			}
		})
	}
	calling.Wait()
	return milliseconds(time.Since(begun)) / (each * callsParallel), errors.Join(failed...)
}
