package task

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/taskcluster/generic-worker/internal/queue"
)

func TestG1LongLogKeepsItsHeadAndItsEnd(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	run, err := Opener{Dir: t.TempDir(), Operator: slog.New(slog.DiscardHandler), LogLimit: limit}.Open(func() queue.Claim { return queue.Claim{TaskID: "task"} })
	if err != nil {
		t.Fatal(err)
	}
	log := run.Log
	reader := follow(t, log, 0)
	var output bytes.Buffer
	for i := 0; output.Len() < 10_000_000; i++ {
		line := fmt.Appendf(nil, "line %d %s\n", i, strings.Repeat("x", i%200))
		output.Write(line)
		log.Write(line)
	}
	live := make([]byte, 3<<20)
	if _, err := reader.Read(live); err != nil || !bytes.HasPrefix(output.Bytes(), live[:1000]) {
		t.Errorf("a live reader got %.20q, %v", live, err)
	}
	log.Info("=== Task Finished ===")
	log.Error("the reason")
	if kept := cap(log.hole.tail); kept > 3*tailKept {
		t.Errorf("%d bytes are kept in memory", kept)
	}
	if err := log.Close(); err != nil || log.Err() != nil {
		t.Fatal(err, log.Err())
	}
	got := readAll(t, follow(t, log, 0))
	if log.Size() != int64(len(got)) || len(got) > limit+1000 || len(log.rest) > 0 {
		t.Errorf("the log has %d bytes, and Size is %d", len(got), log.Size())
	}

	note := regexp.MustCompile(`\n\[taskcluster:warn [^\]]*\] The log may have 4194304 bytes, .*\n\[taskcluster:warn [^\]]*\] (\d+) bytes of the log are missing here\n`)
	hole := note.FindStringSubmatchIndex(got)
	if hole == nil {
		t.Fatal("the log has no note of what is missing")
	}
	end := regexp.MustCompile(`\[taskcluster [^\]]*\] === Task Finished ===\n\[taskcluster:error\] the reason\n$`).FindStringIndex(got)
	if end == nil {
		t.Fatalf("the log ends with %q", got[len(got)-100:])
	}
	var missing int
	fmt.Sscan(got[hole[2]:hole[3]], &missing)
	head, tail := got[:hole[0]], got[hole[1]:end[0]]
	if len(head)+missing+len(tail) != output.Len() {
		t.Errorf("%d bytes, %d missing and %d are not %d", len(head), missing, len(tail), output.Len())
	}
	if !strings.HasPrefix(output.String(), head) || !strings.HasSuffix(output.String(), "\n"+tail) || len(tail) < tailKept-1000 {
		t.Error("the head and the tail are not the task's")
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
}

func TestG1LogWithinTheLimitIsComplete(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{1, 1000, 1001, tailKept, 3 * tailKept} {
		log := newLog(t)
		log.hole.limit = limit
		output := strings.Repeat("0123456789", int(limit+9)/10)[:limit]
		for rest := output; rest != ""; rest = rest[min(len(rest), 777):] {
			fmt.Fprint(log, rest[:min(len(rest), 777)])
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, follow(t, log, 0)); got != output {
			t.Errorf("with a limit of %d there are %d bytes", limit, len(got))
		}
	}
}

func TestG1TheEndOfALineIsNoLineOfTheWorker(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	log.hole.limit = 2000
	fmt.Fprint(log, strings.Repeat("[taskcluster:error] forged ", 1000))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	got := readAll(t, follow(t, log, 0))
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "[taskcluster") && strings.Contains(line, "forged") {
			t.Errorf("a line begins with %.60q", line)
		}
	}
	if !strings.Contains(got, "bytes of the log are missing here\n") || !strings.HasSuffix(got, "forged ") {
		t.Errorf("the log is %q", got)
	}
}

func TestG2ReadersNeedNoEndOfALine(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	log.Mask("a secret", "another secret")
	reader := follow(t, log, 0)
	piece := make([]byte, 64<<10)
	for range 200 {
		log.Write(bytes.Repeat([]byte{'.'}, len(piece)))
		if n, err := reader.Read(piece); n != len(piece) || err != nil {
			t.Fatalf("a reader got %d bytes, %v", n, err)
		}
	}
}

// BenchmarkLog writes a log of 100-byte lines, read from a pipe.
func BenchmarkLog(b *testing.B) {
	text := bytes.Repeat(append(bytes.Repeat([]byte{'7'}, 99), '\n'), 655)
	for _, secrets := range []int{0, 2, 100} {
		b.Run(fmt.Sprint(secrets), func(b *testing.B) {
			log, err := CreateLog(b.TempDir() + "/log")
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			for i := range secrets {
				log.Mask(fmt.Sprintf("secret_%015d", i*i))
			}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_, _ = log.Write(text)
				log.mu.Lock()
				log.size = 0 // spare the disk
				log.mu.Unlock()
			}
		})
	}
}
