package harden

import "golang.org/x/sys/windows"

// private grants everything to the system and its administrators and leaves
// the owner the right to end the process, to wait for it, and to learn its name
// and exit code. To name the owner takes from it the right to change this.
const private = "D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;0x101001;;;OW)"

func harden() error {
	descriptor, err := windows.SecurityDescriptorFromString(private)
	if err != nil {
		return err
	}
	list, _, err := descriptor.DACL()
	if err != nil {
		return err
	}
	return windows.SetSecurityInfo(windows.CurrentProcess(), windows.SE_KERNEL_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
}
