"""What the contract of each kind asks for, a module a kind; in `use` the component does its work once."""
