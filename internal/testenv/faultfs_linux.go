package testenv

import (
	"context"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// FaultDisk is a folder whose file system fails on demand. It is a real one (FUSE), so that the code under test runs as it is.
// Operations that change something are counted: create, write, sync, rename, link, remove, make a folder, change attributes.
type FaultDisk struct {
	Dir string // the mounted folder

	mu    sync.Mutex
	nth   int
	errno syscall.Errno
	count int
	what  string
}

// NewFaultDisk mounts one and unmounts it at the end of the test. It needs /dev/fuse and the right to mount.
func NewFaultDisk(t testing.TB) *FaultDisk {
	t.Helper()
	d := &FaultDisk{Dir: t.TempDir()}
	root := &fs.LoopbackRoot{Path: t.TempDir()}
	root.RootNode = d.wrap(&fs.LoopbackNode{RootData: root})
	_, err := fs.Mount(d.Dir, root.RootNode, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "faulty"}})
	if err != nil {
		t.Fatalf("mount a faulty disk: %v\n  fix: run as root, or let this account use /dev/fuse and mount", err)
	}
	t.Cleanup(func() {
		d.Fail(0, 0)
		if err := unix.Unmount(d.Dir, unix.MNT_DETACH); err != nil { // whoever has a folder open may keep it
			t.Errorf("unmount the faulty disk: %v", err)
		}
	})
	return d
}

// Fail lets the nth change from now on fail with errno, once; 0: none.
func (d *FaultDisk) Fail(nth int, errno syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nth, d.errno, d.count, d.what = nth, errno, 0, ""
}

// Failed tells what has failed since Fail, such as "rename"; empty: nothing did.
func (d *FaultDisk) Failed() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.what
}

// change counts a change and says how it ends.
func (d *FaultDisk) change(what string) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count++; d.count != d.nth {
		return 0
	}
	d.what = what
	return d.errno
}

type faultNode struct {
	*fs.LoopbackNode
	disk *FaultDisk
}

func (d *FaultDisk) wrap(n *fs.LoopbackNode) *faultNode { return &faultNode{LoopbackNode: n, disk: d} }

// WrapChild lets the nodes below fail as well.
func (n *faultNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	if node, ok := child.(*fs.LoopbackNode); ok {
		return n.disk.wrap(node)
	}
	return child
}

// faultFile is an open file. It has no descriptor that the kernel may use past us.
type faultFile struct {
	*fs.LoopbackFile
	disk *FaultDisk
}

func (f *faultFile) PassthroughFd() (int, bool) { return 0, false }

func (f *faultFile) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if e := f.disk.change("write"); e != 0 {
		return 0, e
	}
	return f.LoopbackFile.Write(ctx, data, off)
}

func (f *faultFile) Writev(ctx context.Context, data [][]byte, off int64) (uint32, syscall.Errno) {
	if e := f.disk.change("write"); e != 0 {
		return 0, e
	}
	return f.LoopbackFile.Writev(ctx, data, off)
}

func (f *faultFile) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if e := f.disk.change("allocate"); e != 0 {
		return e
	}
	return f.LoopbackFile.Allocate(ctx, off, size, mode)
}

// file wraps what the loopback file system opened.
func (n *faultNode) file(h fs.FileHandle) fs.FileHandle {
	if f, ok := h.(*fs.LoopbackFile); ok {
		return &faultFile{LoopbackFile: f, disk: n.disk}
	}
	return h
}

func (n *faultNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, flags, e := n.LoopbackNode.Open(ctx, flags)
	return n.file(h), flags, e
}

func (n *faultNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if e := n.disk.change("create"); e != 0 {
		return nil, nil, 0, e
	}
	i, h, flags, e := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return i, n.file(h), flags, e
}

// Fsync is of files and of folders; where the disk below is a memory file system, what counts is that it may fail.
func (n *faultNode) Fsync(ctx context.Context, h fs.FileHandle, flags uint32) syscall.Errno {
	if e := n.disk.change("sync"); e != 0 {
		return e
	}
	if f, ok := h.(*faultFile); ok {
		return f.LoopbackFile.Fsync(ctx, flags)
	}
	return 0
}

func (n *faultNode) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if e := n.disk.change("rename"); e != 0 {
		return e
	}
	return n.LoopbackNode.Rename(ctx, name, parent, newName, flags)
}

func (n *faultNode) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if e := n.disk.change("link"); e != 0 {
		return nil, e
	}
	return n.LoopbackNode.Link(ctx, target, name, out)
}

func (n *faultNode) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if e := n.disk.change("symlink"); e != 0 {
		return nil, e
	}
	return n.LoopbackNode.Symlink(ctx, target, name, out)
}

func (n *faultNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if e := n.disk.change("make folder"); e != 0 {
		return nil, e
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

func (n *faultNode) Unlink(ctx context.Context, name string) syscall.Errno {
	if e := n.disk.change("remove"); e != 0 {
		return e
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

func (n *faultNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	if e := n.disk.change("remove folder"); e != 0 {
		return e
	}
	return n.LoopbackNode.Rmdir(ctx, name)
}

func (n *faultNode) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if e := n.disk.change("change attributes"); e != 0 {
		return e
	}
	if f, ok := h.(*faultFile); ok {
		h = f.LoopbackFile
	}
	return n.LoopbackNode.Setattr(ctx, h, in, out)
}
