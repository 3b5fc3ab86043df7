package config

import "testing"

// BenchmarkLoad is a part of the time from the start to the first claim.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load("testdata/official.json", nil); err != nil {
			b.Fatal(err)
		}
	}
}
