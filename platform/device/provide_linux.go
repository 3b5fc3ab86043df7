package device

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	loadLimit = 30 * time.Second // for modprobe
	killLimit = time.Second      // for its output after that
	maxSaid   = 1 << 10          // of it in an error
	mode      = 0o660
)

// provide loads the module unless it is there and gives its devices to the group.
func (m Module) provide(ctx context.Context) error {
	if !m.made() {
		if err := m.free(); err != nil {
			return err
		}
		if err := m.load(ctx); err != nil {
			return err
		}
		if !m.made() {
			return fmt.Errorf("the kernel module %s is loaded and has not made %s: it was loaded before with other options; unload it with modprobe -r %s, or set %s to what it has",
				m.Name, m.path(m.Devices[0]), m.Name, m.Setting)
		}
	}
	for _, device := range m.Devices {
		if err := m.permit(m.path(device)); err != nil {
			return err
		}
	}
	return nil
}

// made tells whether the devices are there and the module's.
func (m Module) made() bool {
	found, err := filepath.Glob(m.path(m.Proof))
	return err == nil && len(found) > 0
}

// free returns an error if something else has the name of a device.
func (m Module) free() error {
	for _, device := range m.Devices {
		if _, err := os.Stat(m.path(device)); err == nil {
			return fmt.Errorf("%s is a device of this machine and none of the kernel module %s; set %s to a number that is free",
				m.path(device), m.Name, m.Setting)
		}
	}
	return nil
}

func (m Module) load(ctx context.Context) error {
	modprobe, err := m.modprobe()
	if err != nil {
		return fmt.Errorf("cannot load the kernel module %s: there is no modprobe; install kmod and %s", m.Name, m.Install)
	}
	ctx, cancel := context.WithTimeout(ctx, loadLimit)
	defer cancel()
	command := exec.CommandContext(ctx, modprobe, append([]string{m.Name}, m.Options...)...)
	command.WaitDelay = killLimit
	command.Dir = "/"
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"} // the worker's own may hold its credentials
	said, err := command.CombinedOutput()
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("modprobe took more than %v", loadLimit)
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(said), "?")), " ")
	return fmt.Errorf("cannot load the kernel module %s: %w (%.*s); install %s for this kernel and run the worker as root, or load the module before the worker starts: modprobe %s %s",
		m.Name, err, maxSaid, text, m.Install, m.Name, strings.Join(m.Options, " "))
}

// modprobe returns the path of the program, which may be in directories that
// only an administrator has in PATH.
func (m Module) modprobe() (string, error) {
	if m.Modprobe != "" {
		return exec.LookPath(m.Modprobe)
	}
	for _, name := range []string{"modprobe", "/usr/sbin/modprobe", "/sbin/modprobe"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// permit gives a device to the group. That is no matter if it cannot be done
// and the worker's user may use the device all the same.
func (m Module) permit(device string) error {
	err := m.give(device)
	if denied := unix.Access(device, unix.R_OK|unix.W_OK); denied == nil {
		return nil
	} else if err == nil {
		err = denied
	}
	return fmt.Errorf("cannot let tasks use %s: %w; run the worker as root, or as a member of the group %s", device, err, m.Group)
}

func (m Module) give(device string) error {
	group, err := user.LookupGroup(m.Group)
	if err != nil {
		return err
	}
	id, err := strconv.Atoi(group.Gid)
	if err != nil {
		return fmt.Errorf("cannot read the id of group %s: %w", m.Group, err)
	}
	info, err := os.Stat(device)
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Gid) == id && info.Mode().Perm() == mode {
		return nil
	}
	if err := os.Chown(device, -1, id); err != nil {
		return err
	}
	return os.Chmod(device, mode)
}

// path returns where something relative to the root is.
func (m Module) path(name string) string { return filepath.Join(m.Root, filepath.FromSlash(name)) }
