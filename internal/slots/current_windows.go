package slots

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf16"

	"golang.org/x/sys/windows"

	"practicectl/internal/atomicfile"
)

// Windows cannot replace a directory or junction by a rename. So the switch is the atomic rename of a small file that
// names the version, and the junction "current" follows it; [Slots.Recover] makes the junction follow after a crash.
const pointerName = "current.version"

func readCurrent(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, pointerName))
	return strings.TrimSpace(string(b)), err
}

func writeCurrent(dir, version string) error {
	if err := atomicfile.WriteBytes(filepath.Join(dir, pointerName), 0o644, []byte(version+"\r\n")); err != nil {
		return err
	}
	return junction(filepath.Join(dir, CurrentName), filepath.Join(dir, version))
}

func dropCurrent(dir string) error {
	return errors.Join(os.Remove(filepath.Join(dir, pointerName)), os.Remove(filepath.Join(dir, CurrentName)))
}

func repairCurrent(dir string) error {
	version, err := readCurrent(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return junction(filepath.Join(dir, CurrentName), filepath.Join(dir, version))
}

// junction makes link a mount point to the directory target; unlike a symbolic link it needs no privilege.
// Layout of the buffer: REPARSE_DATA_BUFFER of ntifs.h.
func junction(link, target string) error {
	target, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(link, 0o755); err != nil {
		return err
	}
	sub, print := utf16.Encode([]rune(`\??\`+target)), utf16.Encode([]rune(target))
	names := make([]byte, 0, 2*(len(sub)+len(print)+2))
	for _, part := range [][]uint16{sub, {0}, print, {0}} {
		for _, c := range part {
			names = binary.LittleEndian.AppendUint16(names, c)
		}
	}
	b := binary.LittleEndian.AppendUint32(nil, windows.IO_REPARSE_TAG_MOUNT_POINT)
	for _, v := range []int{8 + len(names), 0, 0, 2 * len(sub), 2*len(sub) + 2, 2 * len(print)} {
		b = binary.LittleEndian.AppendUint16(b, uint16(v)) //nolint:gosec // a path has at most 32767 characters
	}
	b = append(b, names...)
	name, err := windows.UTF16PtrFromString(link)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_OPEN_REPARSE_POINT|windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return err
	}
	var n uint32
	err = windows.DeviceIoControl(h, windows.FSCTL_SET_REPARSE_POINT, &b[0], uint32(len(b)), nil, 0, &n, nil)
	return errors.Join(err, windows.CloseHandle(h))
}

// syncFile opens for writing, without which Windows does not flush.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isNotEmpty(err error) bool {
	return errors.Is(err, windows.ERROR_DIR_NOT_EMPTY) || errors.Is(err, windows.ERROR_ALREADY_EXISTS) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}
