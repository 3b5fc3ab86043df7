package task

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs root to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestLogOnADeviceThatIsAlwaysFull(t *testing.T) {
	t.Parallel()
	log, err := CreateLog("/dev/full")
	if err != nil {
		t.Fatal(err)
	}
	const size = 2_000_000
	got := full(t, log, size)
	checkHole(t, got, size)
}

func TestLogOnAFullDisk(t *testing.T) {
	t.Parallel()
	log, err := CreateLog(filepath.Join(smallDisk(t, "1m"), "log"))
	if err != nil {
		t.Fatal(err)
	}
	const size = 3_000_000
	got := full(t, log, size)
	checkHole(t, got, size)
	if len(got) < 1<<20 {
		t.Errorf("the log has %d bytes, less than the disk", len(got))
	}
}

func TestLogOnADiskThatHasRoomAgain(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "4m")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := CreateLog(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 1000)
	for range 4000 {
		log.Write(line)
	}
	if log.Err() == nil {
		t.Error("Err is nil after a write that failed")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(log.path); err != nil || info.Size() != log.Size() || len(log.rest) != 0 {
		t.Errorf("the file has %d bytes and the log %d, %v", info.Size(), log.Size(), err)
	}
}

// full writes to a log more than the disk takes and returns what readers got.
func full(t *testing.T, log *Log, size int) string {
	t.Helper()
	reader := follow(t, log, 0)
	line := strings.Repeat("x", 99) + "\n"
	for written := 0; written < size; written += len(line) {
		if n, err := log.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("Write returned %d, %v", n, err)
		}
	}
	log.Info("the last line")
	if log.Err() == nil {
		t.Error("Err is nil after a write that failed")
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	got := readAll(t, reader)
	if again := readAll(t, follow(t, log, 0)); again != got || log.Size() != int64(len(got)) {
		t.Errorf("a second reader got %d bytes and not %d; the size is %d", len(again), len(got), log.Size())
	}
	if !strings.HasSuffix(got, "the last line\n") {
		t.Errorf("the log ends with %q", got[max(0, len(got)-100):])
	}
	return got
}

func checkHole(t *testing.T, got string, size int) {
	t.Helper()
	note := regexp.MustCompile(`\n\[taskcluster:error\] (\d+) bytes of the log are missing here: no space left on device\n`)
	hole := note.FindStringSubmatchIndex(got)
	if hole == nil {
		t.Fatalf("no note among the %d bytes of the log", len(got))
	}
	var missing int
	fmt.Sscan(got[hole[2]:hole[3]], &missing)
	info := len("[taskcluster 2026-01-02T03:04:05.000Z] the last line\n")
	if there := len(got) - (hole[1] - hole[0]); there+missing != size+info {
		t.Errorf("%d bytes are there and %d missing, of %d", there, missing, size+info)
	}
	if tail := len(got) - hole[1]; tail > tailKept || tail < tailKept-longLine || got[hole[1]-1] != '\n' {
		t.Errorf("%d bytes follow the hole", tail)
	}
}
