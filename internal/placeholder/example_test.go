package placeholder_test

import (
	"fmt"

	"shoal/fleet"
	"shoal/internal/placeholder"
)

func ExampleParse() {
	template, err := placeholder.Parse(`echo ${HOME} {host|sh} {index}`, placeholder.Unquoted)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(template.Expand(fleet.Target{Host: fleet.Host{Name: "node1"}, Index: 4}))
	// Output: echo ${HOME} 'node1' 4
}
