package device

import (
	"context"
	"path/filepath"
)

// Module is a kernel module and the devices it makes.
type Module struct {
	Name    string   // as modprobe takes it
	Options []string // such as "video_nr=0"
	Install string   // what to install where the module is missing
	Setting string   // of the worker's configuration, which says what devices these are
	// Devices are paths such as "dev/video0", relative to Root.
	Devices []string
	// Proof matches a path, relative to Root, that is there only if the devices
	// are the module's and not those of real hardware.
	Proof string
	Group string // may read and write the devices

	Root     string // "" is the root of the file system
	Modprobe string // "" is looked for
}

// Device is what a module makes, used by one at a time.
type Device struct {
	module Module
	turn   chan struct{} // holds an item while nobody has the device
}

// New returns a device. Nothing is loaded before somebody borrows it.
func New(module Module) *Device {
	if module.Root == "" {
		module.Root = string(filepath.Separator)
	}
	d := &Device{module: module, turn: make(chan struct{}, 1)}
	d.turn <- struct{}{}
	return d
}

// Borrow waits until nobody else has the device, calling waiting if that is
// not at once, and makes it ready for the worker's user. A nil error means that
// the caller gives the device back, once. Under a done context the error is its
// cause; any other is about the machine and says what is missing there. On
// other systems than Linux it is errors.ErrUnsupported.
func (d *Device) Borrow(ctx context.Context, waiting func()) (giveBack func(), err error) {
	select {
	case <-d.turn:
	default:
		waiting()
		select {
		case <-d.turn:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	giveBack = func() { d.turn <- struct{}{} }
	err = d.module.provide(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		giveBack()
		return nil, err
	}
	return giveBack, nil
}
