package process

import (
	"testing"
	"time"
)

// BenchmarkStart is the cost of one command that does nothing.
func BenchmarkStart(b *testing.B) {
	for _, v := range variants() {
		b.Run(v.name, func(b *testing.B) {
			for b.Loop() {
				c := Command{Argv: []string{"/bin/true"}, Dir: b.TempDir(), Marker: "GW_BENCH=1", Grace: time.Second}
				if res, err := c.run(b.Context(), v.limits); err != nil || res.ExitCode != 0 {
					b.Fatal(res, err)
				}
			}
		})
	}
}

// BenchmarkOutput is 200 MB in lines of 100 bytes.
func BenchmarkOutput(b *testing.B) {
	for b.Loop() {
		var got counter
		c := Command{Argv: []string{self(), "lines", "2000000"}, Dir: b.TempDir(), Env: probeEnv(), Output: &got}
		if res, err := c.Run(b.Context()); err != nil || res.ExitCode != 0 {
			b.Fatal(res, err)
		}
		b.SetBytes(int64(got))
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
