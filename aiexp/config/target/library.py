"""Names of other libraries a config may use, one by one.

Not a prefix: `torch.` contains `torch.load` and `torch.hub.load`, which run code that they download or read.
"""

_NAMES = {
    "torch.optim": """
        ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS Muon NAdam RAdam RMSprop Rprop SGD
        SparseAdam
    """,
    "torch.optim.lr_scheduler": """
        ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR ExponentialLR LinearLR
        MultiStepLR OneCycleLR PolynomialLR ReduceLROnPlateau StepLR
    """,
    "torch.nn": """
        AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d AvgPool1d AvgPool2d
        BCELoss BCEWithLogitsLoss BatchNorm1d BatchNorm2d BatchNorm3d CELU CTCLoss Conv1d Conv2d
        Conv3d ConvTranspose1d ConvTranspose2d CosineEmbeddingLoss CosineSimilarity CrossEntropyLoss
        Dropout Dropout1d Dropout2d ELU Embedding Flatten GELU GLU GRU GRUCell GroupNorm Hardsigmoid
        Hardswish Hardtanh HingeEmbeddingLoss HuberLoss Identity InstanceNorm1d InstanceNorm2d
        KLDivLoss L1Loss LSTM LSTMCell LayerNorm LeakyReLU Linear LogSoftmax MSELoss
        MarginRankingLoss MaxPool1d MaxPool2d Mish MultiLabelMarginLoss MultiMarginLoss
        MultiheadAttention NLLLoss PReLU PairwiseDistance PixelShuffle PoissonNLLLoss RMSNorm RNN
        RNNCell ReLU ReLU6 ReflectionPad2d ReplicationPad2d SELU SiLU Sigmoid SmoothL1Loss Softmax
        Softplus Softsign Tanh TransformerDecoderLayer TransformerEncoderLayer TripletMarginLoss
        Unflatten Upsample ZeroPad2d
    """,
    "torchvision.models": """
        alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161
        densenet169 densenet201 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3
        efficientnet_b4 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s googlenet inception_v3
        mnasnet0_5 mnasnet1_0 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_y_16gf
        regnet_y_400mf regnet_y_800mf resnet101 resnet152 resnet18 resnet34 resnet50
        resnext101_32x8d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0
        squeezenet1_1 swin_b swin_s swin_t vgg11 vgg11_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16
        vit_b_32 vit_l_16 wide_resnet101_2 wide_resnet50_2
    """,
}

LIBRARY = frozenset(f"{module}.{name}" for module, names in _NAMES.items() for name in names.split())
