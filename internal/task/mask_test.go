package task

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/internal/queue"
)

func TestS4SecretsAreMasked(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	reader := follow(t, log, 0)
	fmt.Fprintln(log, "before: correct horse")
	if unmasked := log.Mask("correct horse", "short"); len(unmasked) != 1 || unmasked[0] != "short" {
		t.Errorf("Mask returned %q", unmasked)
	}
	for _, part := range []string{"raw: cor", "rect hor", "se\nY29ycmVjdCBob3JzZQ==\nend: correct ho"} {
		fmt.Fprint(log, part)
	}
	log.Error("cannot use %q", "correct horse")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	want := "before: correct horse\nraw: [redacted]\n[redacted]Q==\nend: [redacted][taskcluster:error] cannot use \"[redacted]\"\n"
	if got := readAll(t, reader); strings.ReplaceAll(got, "\r", "") != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
}

func TestS4CredentialsAreMasked(t *testing.T) {
	t.Parallel()
	claim := queue.Claim{TaskID: "task", Credentials: queue.Credentials{
		AccessToken: "the-first-token", Certificate: `{"version":1,"scopes":["assume:repo:x"],"signature":"the+first/signature"}`,
	}}
	opener := Opener{Dir: t.TempDir(), Operator: slog.New(slog.DiscardHandler)}
	run, err := opener.Open(func() queue.Claim { return claim })
	if err != nil {
		t.Fatal(err)
	}
	reader := follow(t, run.Log, 0)
	fmt.Fprintln(run.Log, "a: the-first-token the+first/signature assume:repo:x")
	fmt.Fprintln(run.Log, "b: the-second-token")
	claim.Credentials.AccessToken = "the-second-token"
	if run.Claim().Credentials != claim.Credentials {
		t.Errorf("Claim returned %v", run.Claim())
	}
	fmt.Fprintln(run.Log, "c: the-first-token", base64.StdEncoding.EncodeToString([]byte("xthe-second-tokenxx")))
	if err := run.Log.Close(); err != nil {
		t.Fatal(err)
	}
	want := "a: [redacted] [redacted] assume:repo:x\nb: the-second-token\nc: [redacted] eH[redacted]54eA==\n"
	if got := readAll(t, reader); got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
}
