package peer

import (
	"fmt"

	"golang.org/x/sys/windows"
)

const root = "S-1-5-18" // the local system

// Self is the user of this process.
func Self() (string, error) { return NameOf(windows.GetCurrentProcessToken()) }

// NameOf is the user of a token.
func NameOf(token windows.Token) (string, error) {
	user, err := token.GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("cannot tell the user of a token: %w", err)
	}
	return user.User.Sid.String(), nil
}
