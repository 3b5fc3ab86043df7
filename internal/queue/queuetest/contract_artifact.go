package queuetest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"

	"github.com/taskcluster/generic-worker/internal/queue"
)

func artifactPromises() []promise {
	return []promise{
		{name: "an artifact is read as it was written", holds: artifactRoundTrip},
		{name: "a gzipped artifact is read decoded", holds: gzipped},
		{name: "an artifact keeps its name", holds: artifactNames},
		{name: "a name beyond printable ASCII is refused", strict: true, holds: badArtifactNames},
		{name: "artifacts are listed by name", holds: listArtifacts},
		{name: "a reference is followed", holds: reference},
		{name: "a link is followed to its end", holds: links},
		{name: "an error artifact says why", holds: errorArtifact},
		{name: "an artifact changes only in the ways that are allowed", holds: changeArtifact},
		{name: "artifacts belong to a running run", holds: artifactTimes},
		{name: "an artifact expires no later than its task", holds: artifactExpiry},
		{name: "the latest run's artifacts are the task's", holds: latestArtifacts},
		{name: "an artifact that does not exist is not found", holds: unknownArtifact},
		{name: "an object is there once its upload is finished", holds: objectArtifact},
		{name: "an artifact that does not fit the schema is refused", strict: true, holds: badArtifacts},
	}
}

// s3 is a request for an s3 artifact, with more properties or others.
func (s *suite) s3(more ...fields) fields {
	f := fields{"storageType": "s3", "contentType": "text/plain", "expires": s.inAnHour}
	for _, m := range more {
		for name, value := range m {
			f[name] = value
		}
	}
	return f
}

// announce makes an artifact and returns the queue's answer.
func (s *suite) announce(c queue.Claim, name string, request fields) (answer struct{ StorageType, PutURL, UploadID, Name string }, err error) {
	s.Helper()
	text, err := json.Marshal(request)
	if err != nil {
		s.Fatal(err)
	}
	raw, err := s.q.CreateArtifact(s.ctx, c, name, text)
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal(raw, &answer)
}

func (s *suite) mustAnnounce(c queue.Claim, name string, request fields) string {
	s.Helper()
	answer, err := s.announce(c, name, request)
	if err != nil {
		s.Fatalf("createArtifact of %q: %v", name, err)
	}
	return answer.PutURL
}

// write makes an s3 artifact with the given bytes.
func (s *suite) write(c queue.Claim, name, content string, header ...string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.ctx, http.MethodPut, s.mustAnnounce(c, name, s.s3()), strings.NewReader(content))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		s.Fatalf("PUT of %q: %s %s %v", name, answer.Status, text, err)
	}
}

func (s *suite) read(taskID string, runID int, name string) (string, error) {
	content, err := s.q.OpenArtifact(s.ctx, taskID, runID, name)
	if err != nil {
		return "", err
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	return string(text), err
}

func (s *suite) wantContent(taskID string, runID int, name, want string) {
	s.Helper()
	got, err := s.read(taskID, runID, name)
	if err != nil || got != want {
		s.Errorf("artifact %q of run %d reads %q, %v; want %q", name, runID, got, err, want)
	}
}

func artifactRoundTrip(s *suite) {
	c := s.claimed(nil)
	for name, content := range map[string]string{
		"public/text": "some text\n", "public/empty": "", "private/binary": string([]byte{0, 1, 2, 255}), "public/mega": strings.Repeat("x", 1<<20),
	} {
		s.write(c, name, content)
		s.wantContent(c.TaskID, c.RunID, name, content)
	}
	// The data may be sent again, as after an answer that was lost.
	s.write(c, "public/text", "other text\n")
	s.wantContent(c.TaskID, c.RunID, "public/text", "other text\n")
}

func gzipped(s *suite) {
	c := s.claimed(nil)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, strings.Repeat("a line\n", 1000)); err != nil {
		s.Fatal(err)
	}
	if err := z.Close(); err != nil {
		s.Fatal(err)
	}
	s.write(c, "public/log", b.String(), "Content-Encoding", "gzip")
	s.wantContent(c.TaskID, c.RunID, "public/log", strings.Repeat("a line\n", 1000))
	s.write(c, "public/raw", "as it is", "Content-Encoding", "identity")
	s.wantContent(c.TaskID, c.RunID, "public/raw", "as it is")
}

func artifactNames(s *suite) {
	c := s.claimed(nil)
	names := []string{
		"public/a b", "public/a+b", "public/a%b", "public/a%2Fb", "public/a%20b", "public/a?b", "public/a#b", "public/a&b=c",
		"public/a;b", "public/~a", "public/'a'", `public/"a"`, `public/a\b`, "public//double", "public/./dot", "public/../up",
		"/leading", "trailing/", "a", "public/a:b", "public/{a}", "public/" + strings.Repeat("long", 200),
	}
	for _, name := range names {
		s.write(c, name, "content of "+name)
	}
	listed, err := s.q.Artifacts(s.ctx, c.TaskID, c.RunID)
	s.wantOK("listArtifacts", err)
	var got []string
	for _, a := range listed {
		got = append(got, a.Name)
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		s.Errorf("listed %q, want %q", got, names)
	}
	for _, name := range names {
		s.wantContent(c.TaskID, c.RunID, name, "content of "+name)
	}
}

func badArtifactNames(s *suite) {
	c := s.claimed(nil)
	for _, name := range []string{"public/ä", "public/\n", "public/\x7f", "public/日本"} {
		_, err := s.announce(c, name, s.s3())
		s.wantStatus("createArtifact of "+name, err, 400)
	}
}

func listArtifacts(s *suite) {
	c := s.claimed(nil)
	if listed, err := s.q.Artifacts(s.ctx, c.TaskID, c.RunID); err != nil || len(listed) != 0 {
		s.Errorf("listed %v, %v; want nothing", listed, err)
	}
	s.write(c, "public/b", "")
	s.mustAnnounce(c, "public/c", fields{"storageType": "error", "expires": s.inAnHour, "reason": "file-missing-on-worker", "message": "gone"})
	s.mustAnnounce(c, "public/a", fields{"storageType": "reference", "expires": s.inAnHour, "contentType": "text/html", "url": "https://example.com/"})
	listed, err := s.q.Artifacts(s.ctx, c.TaskID, -1)
	s.wantOK("listArtifacts", err)
	var got []string
	for _, a := range listed {
		got = append(got, a.Name+" "+a.StorageType+" "+a.ContentType)
		if !a.Expires.Truncate(time.Millisecond).Equal(time.Time(s.inAnHour).Truncate(time.Millisecond)) {
			s.Errorf("%s expires at %v, want %v", a.Name, a.Expires, s.inAnHour)
		}
	}
	want := []string{"public/a reference text/html", "public/b s3 text/plain", "public/c error application/binary"}
	if !slices.Equal(got, want) {
		s.Errorf("listed %q, want %q", got, want)
	}
}

func reference(s *suite) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "from elsewhere") }))
	s.Cleanup(elsewhere.Close)
	c := s.claimed(nil)
	s.mustAnnounce(c, "public/live.log", fields{"storageType": "reference", "expires": s.inAnHour, "contentType": "text/plain", "url": elsewhere.URL})
	s.wantContent(c.TaskID, c.RunID, "public/live.log", "from elsewhere")
}

func (s *suite) link(to string) fields {
	return fields{"storageType": "link", "expires": s.inAnHour, "contentType": "text/plain", "artifact": to}
}

func links(s *suite) {
	c := s.claimed(nil)
	s.mustAnnounce(c, "public/1", s.link("public/2"))
	_, err := s.read(c.TaskID, c.RunID, "public/1")
	s.wantStatus("a link to nothing", err, 404)
	s.mustAnnounce(c, "public/2", s.link("public/3"))
	s.write(c, "public/3", "the end")
	s.wantContent(c.TaskID, c.RunID, "public/1", "the end")
	s.mustAnnounce(c, "public/x", s.link("public/y"))
	s.mustAnnounce(c, "public/y", s.link("public/x"))
	_, err = s.read(c.TaskID, c.RunID, "public/x")
	s.wantStatus("links in a circle", err, 400)
}

func errorArtifact(s *suite) {
	c := s.claimed(nil)
	s.mustAnnounce(c, "public/x", fields{"storageType": "error", "expires": s.inAnHour, "reason": "file-missing-on-worker", "message": "no such file"})
	_, err := s.read(c.TaskID, c.RunID, "public/x")
	s.wantStatus("an error artifact", err, 424)
}

func changeArtifact(s *suite) {
	later := tcclient.Time(time.Time(s.inAnHour).Add(time.Minute))
	sooner := tcclient.Time(time.Time(s.inAnHour).Add(-time.Minute))
	ref := fields{"storageType": "reference", "expires": s.inAnHour, "contentType": "text/plain", "url": "https://example.com/1"}
	failure := fields{"storageType": "error", "expires": s.inAnHour, "reason": "file-missing-on-worker", "message": "gone"}
	with := func(f, change fields) fields {
		all := fields{}
		for _, m := range []fields{f, change} {
			for name, value := range m {
				all[name] = value
			}
		}
		return all
	}
	c := s.claimed(nil)
	for name, row := range map[string]struct {
		first, second fields
		want          int // 200, or the status of the refusal
	}{
		"the same s3 artifact":      {s.s3(), s.s3(), 200},
		"a later expiry":            {s.s3(), s.s3(fields{"expires": later}), 200},
		"an earlier expiry":         {s.s3(), s.s3(fields{"expires": sooner}), 409},
		"another content type":      {s.s3(), s.s3(fields{"contentType": "text/html"}), 409},
		"s3 to reference":           {s.s3(), ref, 409},
		"s3 to link":                {s.s3(), s.link("public/z"), 409},
		"another URL":               {ref, with(ref, fields{"url": "https://example.com/2"}), 200},
		"reference to link":         {ref, s.link("public/z"), 200},
		"link to reference":         {s.link("public/z"), ref, 409},
		"reference to s3":           {ref, s.s3(), 409},
		"the same link":             {s.link("public/z"), s.link("public/z"), 200},
		"another link":              {s.link("public/z"), s.link("public/y"), 409},
		"the same error":            {failure, failure, 200},
		"another message":           {failure, with(failure, fields{"message": "lost"}), 409},
		"error to s3":               {failure, s.s3(), 409},
		"s3 to error":               {s.s3(), failure, 409},
		"the same object, repeated": {with(s.s3(), fields{"storageType": "object"}), with(s.s3(), fields{"storageType": "object"}), 200},
	} {
		s.mustAnnounce(c, name, row.first)
		_, err := s.announce(c, name, row.second)
		if row.want == 200 {
			s.wantOK(name, err)
		} else {
			s.wantStatus(name, err, row.want)
		}
	}
}

func artifactTimes(s *suite) {
	for _, row := range []struct {
		outcome queue.Outcome
		want    int
	}{
		{queue.Outcome{State: "completed"}, 409},
		{queue.Outcome{State: "failed"}, 409},
		{queue.Outcome{State: "exception", Reason: "malformed-payload"}, 200},
		{queue.Outcome{State: "exception", Reason: "worker-shutdown"}, 200},
	} {
		c := s.claimed(fields{"retries": 0})
		s.resolve(c, row.outcome)
		_, err := s.announce(c, "public/late", s.s3())
		if row.want == 200 {
			s.wantOK("createArtifact after "+row.outcome.Reason, err)
		} else {
			s.wantStatus("createArtifact after "+row.outcome.State, err, row.want)
		}
	}
}

func artifactExpiry(s *suite) {
	expires := time.Now().Add(2 * time.Hour)
	c := s.claimed(fields{"expires": tcclient.Time(expires)})
	_, err := s.announce(c, "public/as-late", s.s3(fields{"expires": tcclient.Time(expires)}))
	s.wantOK("an artifact that expires with its task", err)
	_, err = s.announce(c, "public/later", s.s3(fields{"expires": tcclient.Time(expires.Add(time.Second))}))
	s.wantStatus("an artifact that expires after its task", err, 400)
	_, err = s.announce(c, "public/past", s.s3(fields{"expires": tcclient.Time(time.Now().Add(-time.Hour))}))
	s.wantStatus("an artifact that has expired", err, 400)
}

func latestArtifacts(s *suite) {
	first := s.claimed(nil)
	s.write(first, "public/x", "first")
	s.resolve(first, queue.Outcome{State: "exception", Reason: "worker-shutdown"})
	second := s.claim()
	s.write(second, "public/x", "second")
	s.write(second, "public/y", "")
	s.wantContent(first.TaskID, 0, "public/x", "first")
	s.wantContent(first.TaskID, 1, "public/x", "second")
	s.wantContent(first.TaskID, -1, "public/x", "second")
	for run, want := range map[int]int{0: 1, 1: 2, -1: 2} {
		if listed, err := s.q.Artifacts(s.ctx, first.TaskID, run); err != nil || len(listed) != want {
			s.Errorf("run %d has %d artifacts, %v; want %d", run, len(listed), err, want)
		}
	}
}

func unknownArtifact(s *suite) {
	c := s.claimed(nil)
	_, err := s.read(c.TaskID, c.RunID, "public/nothing")
	s.wantStatus("getArtifact", err, 404)
	_, err = s.read(c.TaskID, -1, "public/nothing")
	s.wantStatus("getLatestArtifact", err, 404)
	s.wantStatus("finishArtifact", s.q.FinishArtifact(s.ctx, c, "public/nothing", slugid.Nice()), 404)
}

func objectArtifact(s *suite) {
	c := s.claimed(nil)
	answer, err := s.announce(c, "public/o", fields{"storageType": "object", "contentType": "text/plain", "expires": s.inAnHour})
	if err != nil || answer.StorageType != "object" || answer.UploadID == "" || answer.Name == "" {
		s.Fatalf("createArtifact answers %+v, %v", answer, err)
	}
	_, err = s.read(c.TaskID, c.RunID, "public/o")
	s.wantStatus("an object that is not finished", err, 404)
	s.wantStatus("finishArtifact with another uploadId", s.q.FinishArtifact(s.ctx, c, "public/o", slugid.Nice()), 400)
	s.wantStatus("finishArtifact before the upload", s.q.FinishArtifact(s.ctx, c, "public/o", answer.UploadID), 400)
	s.write(c, "public/s3", "")
	s.wantStatus("finishArtifact of an s3 artifact", s.q.FinishArtifact(s.ctx, c, "public/s3", answer.UploadID), 400)
}

func badArtifacts(s *suite) {
	c := s.claimed(nil)
	for what, request := range map[string]fields{
		"unknown type":           {"storageType": "azure", "contentType": "text/plain", "expires": s.inAnHour},
		"no type":                {"contentType": "text/plain", "expires": s.inAnHour},
		"no expiry":              {"storageType": "s3", "contentType": "text/plain"},
		"no content type":        {"storageType": "s3", "expires": s.inAnHour},
		"s3 with a URL":          s.s3(fields{"url": "https://example.com"}),
		"reference without URL":  {"storageType": "reference", "contentType": "text/plain", "expires": s.inAnHour},
		"link without target":    {"storageType": "link", "expires": s.inAnHour},
		"error without reason":   {"storageType": "error", "message": "m", "expires": s.inAnHour},
		"error, unknown reason":  {"storageType": "error", "reason": "bad luck", "message": "m", "expires": s.inAnHour},
		"unknown property":       s.s3(fields{"size": 1}),
		"negative length":        s.s3(fields{"contentLength": -1}),
		"a very long type":       s.s3(fields{"contentType": strings.Repeat("x", 256)}),
		"a very long message":    {"storageType": "error", "reason": "file-missing-on-worker", "message": strings.Repeat("x", 4097), "expires": s.inAnHour},
		"expires is not a time":  s.s3(fields{"expires": "tomorrow"}),
		"reference, no real URL": {"storageType": "reference", "contentType": "text/plain", "expires": s.inAnHour, "url": "nowhere"},
	} {
		_, err := s.announce(c, "public/bad", request)
		s.wantStatus(what, err, 400)
	}
}
