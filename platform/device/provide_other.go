//go:build !linux

package device

import (
	"context"
	"errors"
	"fmt"
)

func (m Module) provide(context.Context) error {
	return fmt.Errorf("cannot load the kernel module %s: %w", m.Name, errors.ErrUnsupported)
}
