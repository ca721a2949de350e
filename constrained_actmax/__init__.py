"""Which input makes this output largest, among the inputs that I allow?"""
