package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// statAll tells about the named things in an open directory, following no
// link. What is gone meanwhile is left out.
func statAll(dir *os.File, names []string, each func(name string, stat Stat)) error {
	for _, name := range names {
		stat, err := statPath(filepath.Join(dir.Name(), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		each(name, stat)
	}
	return nil
}

// statPath opens what is at the path itself, link or not, without asking for
// any right to its content.
func statPath(path string) (Stat, error) {
	text, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return Stat{}, err
	}
	const flags = windows.FILE_FLAG_OPEN_REPARSE_POINT | windows.FILE_FLAG_BACKUP_SEMANTICS
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	handle, err := windows.CreateFile(text, windows.FILE_READ_ATTRIBUTES, share, nil, windows.OPEN_EXISTING, flags, 0)
	if err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(handle), path)
	defer file.Close()
	return statFile(file)
}

// basicInfo is FILE_BASIC_INFO of winbase.h.
type basicInfo struct {
	creationTime, lastAccessTime, lastWriteTime, changeTime int64
	attributes                                              uint32
	_                                                       uint32
}

func statFile(file *os.File) (Stat, error) {
	info, err := file.Stat()
	if err != nil {
		return Stat{}, err
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return Stat{}, err
	}
	var identity windows.ByHandleFileInformation
	var basic basicInfo
	var failed error
	err = conn.Control(func(fd uintptr) {
		handle := windows.Handle(fd)
		if failed = windows.GetFileInformationByHandle(handle, &identity); failed == nil {
			failed = windows.GetFileInformationByHandleEx(handle, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&basic)), uint32(unsafe.Sizeof(basic)))
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: file.Name(), Err: err}
	}
	return Stat{
		Mode: info.Mode(), Size: info.Size(),
		Modified: info.ModTime().UnixNano(), Changed: fileTime(basic.changeTime),
		Inode: uint64(identity.FileIndexHigh)<<32 | uint64(identity.FileIndexLow),
		names: uint64(identity.NumberOfLinks), occupied: info.Size(),
	}, nil
}

// fileTime is a count of 100 ns since 1601 as nanoseconds since 1970.
func fileTime(ticks int64) int64 {
	time := windows.Filetime{LowDateTime: uint32(ticks), HighDateTime: uint32(ticks >> 32)}
	return time.Nanoseconds()
}

const openFlags = os.O_RDONLY
