package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

const (
	signedFiles = 100
	signedBytes = 2 << 20 // of each
	signedPairs = 7
)

// signedArtifacts is how much longer a task with many artifacts takes if they
// are in a chain of trust, in percent: each is read once, so that the hashes cost
// nothing and only the certificate and the log are added.
func signedArtifacts(ctx context.Context, c candidate) (float64, error) {
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		dir := filepath.Join(s.dir, "files")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return 0, err
		}
		random := rand.NewChaCha8([32]byte{1})
		content := make([]byte, signedBytes)
		for i := range signedFiles {
			_, _ = random.Read(content)
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i, ".bin")), content, 0o600); err != nil {
				return 0, err
			}
		}
		var times [2][]float64
		for range signedPairs { // in turns, so that whatever else the machine does hits both
			for i, signed := range []bool{false, true} {
				payload := with(shell("true"), "artifacts", []map[string]any{{"type": "directory", "path": dir, "name": "public/out"}})
				run, err := s.task(ctx, with(payload, "features", map[string]bool{"chainOfTrust": signed}))
				if err != nil {
					return 0, err
				}
				times[i] = append(times[i], milliseconds(run.Resolved.Sub(run.Started)))
			}
		}
		// Whatever else the machine does only adds to a time.
		return 100 * (slices.Min(times[1])/slices.Min(times[0]) - 1), nil
	})(ctx, c)
}
