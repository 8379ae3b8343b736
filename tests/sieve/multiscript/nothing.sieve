# keeps implicitly
