// Age-plugin-practicetest is a plugin of age for tests: an X25519 key behind the plugin protocol. "-new" prints a recipient and an
// identity.
package main

import (
	"flag"
	"fmt"
	"os"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

const name = "practicetest"

func main() {
	p, err := plugin.New(name)
	if err != nil {
		fail(err)
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) { return age.ParseX25519Recipient(string(data)) })
	p.HandleIdentity(func(data []byte) (age.Identity, error) { return age.ParseX25519Identity(string(data)) })
	fresh := flag.Bool("new", false, "make a key")
	p.RegisterFlags(flag.CommandLine)
	flag.Parse()
	if !*fresh {
		os.Exit(p.Main())
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		fail(err)
	}
	fmt.Println(plugin.EncodeRecipient(name, []byte(id.Recipient().String())))
	fmt.Println(plugin.EncodeIdentity(name, []byte(id.String())))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
