package artifacts

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/taskcluster/generic-worker/internal/queue/queuetest"
)

func BenchmarkSmallFiles(b *testing.B) {
	const files = 1000
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run(delay.String(), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := newStage(b, queuetest.FakeOptions{KeepBodies: -1, NoHash: true})
				for i := range files {
					line := fmt.Sprintf("line of file %d\n", i)
					s.write(b, fmt.Sprint("out/", i), strings.Repeat(line, 4096/len(line)))
				}
				if delay > 0 {
					s.fake.Inject(queuetest.Fault{Kind: queuetest.FaultLatency, Delay: delay})
				}
				a := directory("out", "public")
				a.ContentEncoding = ""
				b.StartTimer()
				if err := s.finish(b, Config{}, a); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(files*float64(b.N)/b.Elapsed().Seconds(), "files/s")
		})
	}
}
