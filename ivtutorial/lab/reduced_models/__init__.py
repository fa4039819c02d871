"""How the reduced models were trained and measured."""
