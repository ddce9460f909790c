package command_test

import (
	"fmt"

	"shoal/command"
	"shoal/fleet"
)

func ExampleParse() {
	template, err := command.Parse(`echo ${HOME} {host|sh} {index}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(template.Expand(fleet.Target{Host: fleet.Host{Name: "node1"}, Index: 4}))
	// Output: echo ${HOME} 'node1' 4
}
