package chainoftrust

import (
	"errors"
	"io"
	"os"

	"github.com/taskcluster/generic-worker/cot"
	"github.com/taskcluster/generic-worker/internal/artifact"
	"github.com/taskcluster/generic-worker/internal/artifact/taskdir"
)

// AdditionalData is the file, in the task's directory, with what the task says
// in its certificate.
const AdditionalData = "generic-worker/chain-of-trust-additional-data.json"

// maxAdditional is read at most; what is longer is refused all the same.
const maxAdditional = 64<<10 + 1

// readAdditionalData returns the object in the task's file, or nil if there is
// no file. Links that lead out of the task's directory are not followed.
func readAdditionalData(root *os.Root) ([]byte, error) {
	file, _, err := taskdir.Tree{Root: root}.Open(AdditionalData)
	if failure, ok := errors.AsType[*artifact.FileError](err); ok {
		if failure.Reason == artifact.Missing {
			return nil, nil
		}
		return nil, failure.Err
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxAdditional))
	if err != nil {
		return nil, err
	}
	return cot.ReadUnverified(text)
}
