package local_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue/local"
)

// TestScopes makes each call with exactly the scopes that it needs, and then
// with each of them missing.
func TestScopes(t *testing.T) {
	t.Parallel()
	s := serve(t, local.Options{LongPoll: time.Millisecond})
	id, fresh := slugid.Nice(), slugid.Nice()
	d := definition(t, map[string]any{"schedulerId": "sched", "projectId": "proj"})
	if _, err := s.CreateTask(t.Context(), id, d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(t.Context(), somePool, 1); err != nil {
		t.Fatal(err)
	}
	group := "sched/" + id + "/" + id
	expires := tcclient.Time(time.Now().Add(time.Hour)).String()
	create := definition(t, map[string]any{"scopes": []string{"s:1", "s:2"}, "routes": []string{"r.1"}, "priority": "high", "schedulerId": "sched", "projectId": "proj"})
	for _, row := range []struct {
		verb, path string
		body       string
		status     int
		needs      string
	}{
		{"PUT", "queue/v1/task/" + fresh, string(create), 200, "s:1 s:2 queue:route:r.1 queue:create-task:project:proj queue:scheduler-id:sched queue:create-task:high:proj-local/worker"},
		{"PUT", "queue/v1/task/" + fresh, string(create), 200, "s:* queue:route:r.1 queue:create-task:project:proj queue:scheduler-id:sched queue:create-task:highest:proj-local/worker"},
		{"POST", "queue/v1/task/" + id + "/schedule", "", 200, "queue:schedule-task:" + group},
		{"POST", "queue/v1/task/" + id + "/schedule", "", 200, "queue:schedule-task-in-project:proj"},
		{"POST", "queue/v1/task/" + id + "/schedule", "", 200, "queue:schedule-task assume:scheduler-id:sched/" + id},
		{"POST", "queue/v1/task/" + id + "/rerun", "", 200, "queue:rerun-task:" + group},
		{"POST", "queue/v1/task/" + fresh + "/cancel", "", 200, "queue:cancel-task-in-project:proj"},
		{"POST", "queue/v1/claim-work/proj-local%2Fworker", `{"tasks":1,"workerGroup":"g","workerId":"i"}`, 200, "queue:claim-work:proj-local/worker queue:worker-id:g/i"},
		{"POST", "queue/v1/task/" + id + "/runs/0/reclaim", "", 200, "queue:reclaim-task:" + id + "/0"},
		{"POST", "queue/v1/task/" + id + "/runs/0/artifacts/private%2Fx", `{"storageType":"link","artifact":"private/y","expires":"` + expires + `"}`, 200, "queue:create-artifact:" + id + "/0"},
		{"POST", "queue/v1/task/" + id + "/runs/0/artifacts/private%2Fy", `{"storageType":"reference","url":"https://example.com/","contentType":"text/plain","expires":"` + expires + `"}`, 200, "queue:create-artifact:" + id + "/0"},
		{"PUT", "queue/v1/task/" + id + "/runs/0/artifacts/private%2Fy", `{"uploadId":"` + id + `"}`, 400, "queue:create-artifact:" + id + "/0"},
		{"GET", "queue/v1/task/" + id + "/runs/0/artifacts/private/y", "", 303, "queue:get-artifact:private/y"},
		{"GET", "queue/v1/task/" + id + "/artifacts/private%2Fy", "", 303, "queue:get-artifact:private/y"},
		{"GET", "queue/v1/task/" + id + "/artifacts/private%2Fx", "", 303, "queue:get-artifact:private/x queue:get-artifact:private/y"},
		{"GET", "queue/v1/task/" + id + "/artifact-content/private%2Fx", "", 200, "queue:get-artifact:private/x queue:get-artifact:private/y"},
		{"POST", "queue/v1/task/" + id + "/runs/0/completed", "{}", 200, "queue:resolve-task:" + id + "/0"},
		{"POST", "queue/v1/task/" + id + "/runs/0/failed", "{}", 409, "queue:resolve-task:" + id + "/0"},
		{"POST", "queue/v1/task/" + id + "/runs/0/exception", `{"reason":"internal-error"}`, 409, "queue:resolve-task:" + id + "/0"},
		{"PUT", "object/v1/upload/a%2Fb", `{"projectId":"proj","uploadId":"` + id + `","expires":"` + expires + `","proposedUploadMethods":{"dataInline":{"contentType":"text/plain","objectData":"eA=="}}}`, 200, "object:upload:proj:a/b"},
		{"POST", "object/v1/finish-upload/a%2Fb", `{"projectId":"proj","uploadId":"` + id + `"}`, 200, "object:upload:proj:a/b"},
		{"PUT", "object/v1/start-download/a%2Fb", `{"acceptDownloadMethods":{"simple":true}}`, 200, "object:download:a/b"},
		{"GET", "object/v1/metadata/a%2Fb", "", 200, "object:download:a/b"},
		{"GET", "object/v1/download/a%2Fb", "", 303, "object:download:a/b"},
		{"PUT", "secrets/v1/secret/a%2Fb", `{"secret":{"k":1},"expires":"` + expires + `"}`, 200, "secrets:set:a/b"},
		{"GET", "secrets/v1/secret/a%2Fb", "", 200, "secrets:get:a/b"},
		{"GET", "secrets/v1/secrets", "", 200, "secrets:list-secrets"},
		{"DELETE", "secrets/v1/secret/a%2Fb", "", 200, "secrets:set:a/b"},
		{"PUT", "index/v1/task/a.b", `{"taskId":"` + id + `","rank":1,"data":{},"expires":"` + expires + `"}`, 200, "index:insert-task:a.b"},
		{"GET", "index/v1/task/a.b/artifacts/private%2Fy", "", 303, "queue:get-artifact:private/y"},
		{"DELETE", "index/v1/task/a.b", "", 200, "index:delete-task:a.b"},
		{"POST", "purge-cache/v1/purge-cache/p%2Fw", `{"cacheName":"c"}`, 204, "purge-cache:p/w:c"},
		{"GET", "purge-cache/v1/purge-cache/p%2Fw", "", 200, "purge-cache:purge-requests::p/w"},
		{"GET", "purge-cache/v1/purge-cache/list", "", 200, "purge-cache:all-purge-requests"},
	} {
		var body []byte
		if row.body != "" {
			body = []byte(row.body)
		}
		needs := strings.Fields(row.needs)
		call := row.verb + " " + row.path
		for i, missing := range needs {
			status, text := s.send(t, s.restricted(slices.Delete(slices.Clone(needs), i, i+1)), row.verb, "/api/"+row.path, body)
			if status != http.StatusForbidden || !strings.Contains(text, `"code":"InsufficientScopes"`) {
				t.Errorf("%s without %s: %d %s, want 403", call, missing, status, text)
			}
		}
		if status, text := s.send(t, s.restricted(needs), row.verb, "/api/"+row.path, body); status != row.status {
			t.Errorf("%s with %v: %d %s, want %d", call, needs, status, text, row.status)
		}
	}
}

// restricted returns credentials with these scopes only.
func (s *server) restricted(scopes []string) *tcclient.Credentials {
	c := permanent(s.Credentials())
	c.AuthorizedScopes = scopes
	return c
}

// TestAnonymous lists what may be done without credentials.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	s := serve(t, local.Options{LongPoll: time.Millisecond})
	id := slugid.Nice()
	if _, err := s.CreateTask(t.Context(), id, definition(t, nil)); err != nil {
		t.Fatal(err)
	}
	c, err := s.Claim(t.Context(), somePool, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"public/x", "private/x"} {
		request := fmt.Sprintf(`{"storageType":"reference","url":"https://example.com/","contentType":"text/plain","expires":%q}`, tcclient.Time(time.Now().Add(time.Hour)))
		if _, err := s.CreateArtifact(t.Context(), c[0], name, json.RawMessage(request)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int{
		"/":                                                      200,
		"/nothing":                                               404,
		"/api/queue/v1/ping":                                     200,
		"/api/auth/v1/ping":                                      200,
		"/api/object/v1/ping":                                    200,
		"/api/index/v1/ping":                                     200,
		"/api/secrets/v1/ping":                                   200,
		"/api/purge-cache/v1/ping":                               200,
		"/api/queue/v1/task/" + id:                               200,
		"/api/queue/v1/task/x":                                   400,
		"/api/queue/v1/task/" + id + "/status":                   200,
		"/api/queue/v1/task/" + id + "/dependents":               200,
		"/api/queue/v1/task-group/" + id + "/list":               200,
		"/api/queue/v1/task-group/" + id + "/list?limit=0":       400,
		"/api/queue/v1/task-group/" + id + "/list?offset=1":      400,
		"/api/queue/v1/task/" + id + "/artifacts":                200,
		"/api/queue/v1/task/" + id + "/runs/0/artifacts":         200,
		"/api/queue/v1/task/" + id + "/runs/-1/artifacts":        400,
		"/api/queue/v1/task/" + id + "/artifacts/public/x":       303,
		"/api/queue/v1/task/" + id + "/artifacts/private/x":      403,
		"/api/queue/v1/task/" + id + "/artifact-info/private/x":  200,
		"/api/queue/v1/task/" + id + "/runs/0/artifacts/a%C3%A4": 400,
		"/api/queue/v1/pending/proj-local%2Fworker":              200,
		"/api/queue/v1/claim-work/proj-local%2Fworker":           404,
		"/api/auth/v1/scopes/current":                            200,
		"/api/index/v1/task/a.b":                                 404,
		"/api/index/v1/tasks/a":                                  200,
		"/api/index/v1/namespaces/":                              200,
		"/api/secrets/v1/secret/x":                               403,
		"/api/secrets/v1/secrets":                                403,
		"/storage/artifact/x":                                    403,
	} {
		if status, text := s.send(t, nil, http.MethodGet, path, nil); status != want {
			t.Errorf("GET %s: %d %s, want %d", path, status, text, want)
		}
	}
}
